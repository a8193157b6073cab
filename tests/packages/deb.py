"""The Debian package, made of this build: lintian finds nothing wrong, and what a user looks for is in it.

deb.py SOURCE BUILD"""

import gzip
import pathlib
import shutil
import subprocess
import sys
import tempfile

SKIPPED = 77
WANTED = [
    "usr/bin/pgkeel",
    "usr/lib/systemd/system/pgkeel.service",
    "usr/lib/systemd/system/pgkeel-agent.service",
    "usr/lib/sysusers.d/pgkeel.conf",
    "etc/pgkeel/pgkeel.toml",
    "usr/share/man/man1/pgkeel.1.gz",
    "usr/share/man/man5/pgkeel.toml.5.gz",
    "usr/share/bash-completion/completions/pgkeel",
    "usr/share/zsh/vendor-completions/_pgkeel",
    "usr/share/fish/vendor_completions.d/pgkeel.fish",
    "usr/share/doc/pgkeel/copyright",
    "usr/share/doc/pgkeel/examples/pgkeel.toml",
    "usr/share/doc/pgkeel/examples/agent.toml",
]


def run(*command, where):
    done = subprocess.run(command, cwd=where, capture_output=True, text=True, check=False)
    if done.returncode != 0:
        sys.exit(f"{' '.join(map(str, command))}: exit status {done.returncode}\n{done.stdout}{done.stderr}")
    return done.stdout


def main():
    source, build = pathlib.Path(sys.argv[1]), pathlib.Path(sys.argv[2])
    for tool in ("cpack", "dpkg-deb", "dpkg-shlibdeps", "lintian"):
        if not shutil.which(tool):
            print(f"{tool} is not installed: deploy/install-deps --package")
            return SKIPPED
    with tempfile.TemporaryDirectory() as folder:
        made = pathlib.Path(folder)
        # Configured as deploy/package does it; what is packed was built already.
        run("cmake", "-G", "Ninja", "-S", source, "-B", made, "-DCMAKE_BUILD_TYPE=Release", "-DCMAKE_INSTALL_PREFIX=/usr",
            "-DCMAKE_INSTALL_SYSCONFDIR=/etc", where=source)
        shutil.copy(build / "pgkeel", made)
        shutil.copytree(build / "package_files", made / "package_files")
        # deploy/package writes it of the newest commit; lintian wants one.
        (made / "changelog.gz").write_bytes(gzip.compress(
            b"pgkeel (0.1.0) stable; urgency=medium\n\n  * Made by a test.\n\n"
            b" -- the pgkeel authors <pgkeel@example.org>  Mon, 05 Jan 2026 00:00:00 +0000\n", mtime=0))
        run("cpack", "-G", "DEB", where=made)
        packages = list(made.glob("*.deb"))
        if len(packages) != 1:
            sys.exit(f"cpack made {packages}")
        files = {line.split()[-1].removeprefix("./") for line in run("dpkg-deb", "--contents", packages[0], where=folder).splitlines()}
        missing = [name for name in WANTED if name not in files]
        lintian = subprocess.run(["lintian", "--allow-root", "--fail-on", "error,warning", packages[0]], capture_output=True, text=True, check=False)
        print(lintian.stdout)
        if missing:
            print(f"not in the package: {missing}")
        return 1 if missing or lintian.returncode != 0 else 0


sys.exit(main())
