"""The Debian package, made of this build: lintian finds nothing wrong, what a user looks for is in it, its documents lead to
each other, and dpkg installs, upgrades, removes and purges it as an administrator expects.

deb.py SOURCE BUILD"""

import gzip
import os
import pathlib
import re
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


def run(*command, where, environment=None):
    done = subprocess.run(command, cwd=where, capture_output=True, text=True, check=False, env=environment)
    if done.returncode != 0:
        sys.exit(f"{' '.join(map(str, command))}: exit status {done.returncode}\n{done.stdout}{done.stderr}")
    return done.stdout


def dead_links(tree):
    """Of the documents for users, those that lead nowhere in the package. (Pages on how it works name their sources.)"""
    documents = tree / "usr/share/doc/pgkeel"
    for page in [documents / "README.md", *(documents / "deploy").rglob("*.md")]:
        for link in re.findall(r"\]\(([^)\s]+)\)", page.read_text()):
            path = link.partition("#")[0]
            if path and "://" not in link and not (page.parent / path).exists():
                yield f"{page.relative_to(tree)}: {link}"


class Host:
    """A folder that dpkg takes for the root of a host on which systemd runs. What the scripts would tell systemd is noted."""

    def __init__(self, folder):
        self.root = folder / "host"
        for name in ("var/lib/dpkg/info", "var/lib/dpkg/updates", "var/lib/dpkg/triggers", "var/log", "etc", "run/systemd/system"):
            (self.root / name).mkdir(parents=True)
        (self.root / "var/lib/dpkg/status").touch()
        self.told = folder / "told"
        self.told.touch()
        tools = folder / "tools"
        tools.mkdir()
        for tool in ("systemctl", "deb-systemd-invoke"):
            (tools / tool).write_text(f'#!/bin/sh\necho "{tool} $*" >>{self.told}\n')
            (tools / tool).chmod(0o755)
        self.environment = os.environ | {"PATH": f"{tools}:/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"}

    def dpkg(self, *arguments):
        self.told.write_text("")
        run("dpkg", f"--root={self.root}", "--force-script-chrootless", "--force-depends", *arguments, where=self.root,
            environment=self.environment)
        return self.told.read_text().splitlines()

    def helper(self, *arguments):
        run("deb-systemd-helper", *arguments, where=self.root, environment=self.environment | {"DPKG_ROOT": str(self.root), "DPKG_MAINTSCRIPT_PACKAGE": "pgkeel"})

    def file(self, name):
        return self.root / name

    def state(self):
        return run("dpkg-query", f"--admindir={self.root}/var/lib/dpkg", "--show", "--showformat=${Version} ${Status}", "pgkeel", where=self.root)


def newer(package, folder):
    run("dpkg-deb", "--raw-extract", package, folder / "newer", where=folder)
    control = folder / "newer/DEBIAN/control"
    control.write_text(re.sub(r"(?m)^Version: .*$", "Version: 9.9.9", control.read_text()))
    run("dpkg-deb", "--build", folder / "newer", folder / "newer.deb", where=folder)
    return folder / "newer.deb"


def complaints_of_its_life(package, folder):
    host = Host(folder)
    program, settings, token = host.file("usr/bin/pgkeel"), host.file("etc/pgkeel/pgkeel.toml"), host.file("etc/pgkeel/admin.token")
    services = "pgkeel.service pgkeel-agent.service"

    def expect(what, holds):
        if not holds:
            problems.append(what)

    problems = []
    told = host.dpkg("--install", package)
    expect(f"an installation tells systemd {told}", told == ["systemctl daemon-reload"])
    expect("the program is not there", program.exists())
    account = re.search(r"(?m)^pgkeel:.*:(.*)$", host.file("etc/passwd").read_text())
    expect("there is no user pgkeel without a shell", account and "nologin" in account.group(1))
    secret = token.read_text()
    expect("the token is not 64 digits for its owner alone", re.fullmatch(r"[0-9a-f]{64}\n", secret) and token.stat().st_mode & 0o777 == 0o600)
    settings.write_text(settings.read_text() + "# mine\n")
    host.file("var/lib/pgkeel").mkdir()
    host.file("var/lib/pgkeel/quarantine").touch()
    host.helper("enable", "pgkeel.service")
    enabled = host.file("etc/systemd/system/multi-user.target.wants/pgkeel.service")
    expect("the service cannot be enabled", enabled.is_symlink())

    told = host.dpkg("--install", newer(package, folder))
    expect(f"an upgrade tells systemd {told}: it restarts nothing", set(told) == {"systemctl daemon-reload"})
    expect(f"after an upgrade it is {host.state()}", host.state() == "9.9.9 install ok installed")
    expect("an upgrade changed the configuration or the token", settings.read_text().endswith("# mine\n") and token.read_text() == secret)
    expect("an upgrade disabled the service", enabled.is_symlink())

    told = host.dpkg("--remove", "pgkeel")
    expect(f"a removal tells systemd {told}", told == [f"deb-systemd-invoke stop {services}", "systemctl daemon-reload"])
    expect("a removal leaves the program, or an enabled service", not program.exists() and not enabled.is_symlink())
    expect("a removal takes what only a purge may", settings.exists() and token.exists() and host.file("var/lib/pgkeel/quarantine").exists())

    host.dpkg("--purge", "pgkeel")
    left = [str(path.relative_to(host.root)) for path in host.root.rglob("*pgkeel*") if "var/lib/dpkg" not in str(path)]
    expect(f"a purge leaves {left}, not the state alone", left == ["var/lib/pgkeel"])
    expect("a purge takes the state, which may hold lost transactions", host.file("var/lib/pgkeel/quarantine").exists())
    return problems


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
        problems = [f"not in the package: {name}" for name in WANTED if name not in files]
        run("dpkg-deb", "--extract", packages[0], made / "tree", where=folder)
        problems += dead_links(made / "tree")
        if os.geteuid() == 0 and shutil.which("deb-systemd-helper") and shutil.which("systemd-sysusers"):
            problems += complaints_of_its_life(packages[0], made)
        else:
            print("not installed anywhere: that takes root, systemd and init-system-helpers")
        lintian = subprocess.run(["lintian", "--allow-root", "--fail-on", "error,warning", packages[0]], capture_output=True, text=True, check=False)
        print(lintian.stdout)
        print("\n".join(problems))
        return 1 if problems or lintian.returncode != 0 else 0


sys.exit(main())
