"""The systemd units, as they are installed: systemd understands every line, and they are confined as far as is promised.

units.py BUILD PGKEEL"""

import pathlib
import re
import shutil
import subprocess
import sys
import tempfile

SKIPPED = 77
# systemd-analyze's exposure, times ten. The agent starts a PostgreSQL server, which inherits what it may not do.
MOST_EXPOSED = {"pgkeel.service": 20, "pgkeel-agent.service": 25}


# 10 s for open transactions, then 5 s for what is left of the sessions: systemd must not use force before.
END_TAKES = 10 + 5
# What makes a service stay up, or come back, with the reason why its absence hurts.
PROMISES = {
    ("Unit", "StartLimitIntervalSec"): ("0", "five fast failures would end all attempts to start"),
    ("Service", "Restart"): ("always", "a crash would be the end"),
    ("Service", "OOMPolicy"): ("continue", "a backend killed for memory would stop the service"),
    ("Service", "OOMScoreAdjust"): ("-900", "it would be killed for memory among the first"),
    ("Service", "KillMode"): ("process", "servers that run in the unit would end with it"),
}


def broken_promises(unit, text):
    settings = {}
    section = ""
    for line in text.splitlines():
        if line.startswith("["):
            section = line.strip("[]")
        elif "=" in line and not line.startswith("#"):
            settings[section, line.partition("=")[0]] = line.partition("=")[2]
    for key, (wanted, why) in PROMISES.items():
        if settings.get(key) != wanted:
            yield f"{unit}: {key[1]} is {settings.get(key)}, not {wanted}: {why}"
    if int(settings["Service", "TimeoutStopSec"]) <= END_TAKES:
        yield f"{unit}: TimeoutStopSec is {settings['Service', 'TimeoutStopSec']}: less than an orderly end takes"


def main():
    build, pgkeel = pathlib.Path(sys.argv[1]), pathlib.Path(sys.argv[2])
    if not shutil.which("systemd-analyze"):
        print("systemd-analyze is not installed")
        return SKIPPED
    problems = []
    source = pathlib.Path(__file__).resolve().parents[2] / "deploy/systemd"
    with tempfile.TemporaryDirectory() as folder:
        for unit, most in MOST_EXPOSED.items():
            path = pathlib.Path(folder) / unit
            problems += broken_promises(unit, (build / unit).read_text())
            # The binary that was built: that the installed one is not there is no fault of the unit. Nor is that the
            # package's user, whom it makes when it is installed, is not here.
            text = re.sub(r"(?m)(?<==)/\S+/pgkeel(?= )", str(pgkeel), (build / unit).read_text())
            path.write_text(re.sub(r"(?m)^User=.*$", "User=root", text))
            verify = subprocess.run(["systemd-analyze", "verify", "--man=no", "--recursive-errors=no", path], capture_output=True, text=True, check=False)
            if verify.returncode != 0 or unit in verify.stderr:
                problems.append(f"systemd-analyze verify {unit}: {verify.stderr}")
            path.write_text(text)
            security = subprocess.run(["systemd-analyze", "security", "--offline=yes", f"--threshold={most}", "--no-pager", path],
                                      capture_output=True, text=True, check=False)
            verdict = security.stdout.strip().splitlines()[-1:] or [security.stderr]
            print(unit, *verdict)
            if security.returncode != 0:
                problems.append(f"systemd-analyze security {unit}: more exposed than {most / 10}: {security.stdout}")
        # What is laid over a unit is understood with it, and says what it is for.
        for addition, expected in {"virtual-ip.conf": "CAP_NET_ADMIN", "local-nodes.conf": "User=postgres"}.items():
            path = pathlib.Path(folder) / "pgkeel.service"
            lines = (source / addition).read_text()
            path.write_text(re.sub(r"(?m)^User=.*$", "User=root", path.read_text() + lines[lines.index("[Service]"):]))
            verify = subprocess.run(["systemd-analyze", "verify", "--man=no", "--recursive-errors=no", path], capture_output=True, text=True, check=False)
            if verify.returncode != 0 or "pgkeel.service" in verify.stderr or expected not in lines:
                problems.append(f"systemd-analyze verify with {addition}: {verify.stderr}")
    print("\n".join(problems))
    return 1 if problems else 0


sys.exit(main())
