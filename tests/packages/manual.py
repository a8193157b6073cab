"""Manual pages: groff renders them without a warning, and they have every verb, option and key.

manual.py PGKEEL"""

import re
import shutil
import subprocess
import sys

SKIPPED = 77


def told(*command, text=None):
    run = subprocess.run(command, input=text, capture_output=True, text=True, check=False)
    if run.returncode != 0:
        sys.exit(f"{' '.join(command)}: exit status {run.returncode}: {run.stderr}")
    return run.stdout


def rendered(page):
    run = subprocess.run(["groff", "-man", "-ww", "-Tutf8", "-rLL=100n", "-P-cbou"], input=page, capture_output=True, text=True, check=False)
    return run.stdout.replace("\N{HYPHEN}", "-").replace("\N{MINUS SIGN}", "-"), run.stderr


def main():
    pgkeel = sys.argv[1]
    if not shutil.which("groff"):
        print("groff is not installed")
        return SKIPPED
    problems = []
    pages = {}
    for name in ("pgkeel", "pgkeel.toml"):
        pages[name], warnings = rendered(told(pgkeel, "manual", name))
        if warnings:
            problems.append(f"groff, of {name}: {warnings}")
    verbs = re.findall(r"^  ([a-z-]+)  ", told(pgkeel, "--help").split("\nVerbs:\n")[1], re.MULTILINE)
    if len(verbs) < 10:
        problems.append(f"--help has only the verbs {verbs}")
    for verb in verbs:
        if not re.search(rf"^   {verb}$", pages["pgkeel"], re.MULTILINE):
            problems.append(f"pgkeel(1) has no section on {verb}")
        for option in re.findall(r"^  (?:-\w,)?(--[a-z-]+)", told(pgkeel, verb, "--help"), re.MULTILINE):
            if option != "--help" and option not in pages["pgkeel"]:
                problems.append(f"pgkeel(1) has no {option} of {verb}")
    for key in ("hold_timeout", "failure_timeout", "password_file", "data_directory", "fence_timeout"):
        if key not in pages["pgkeel.toml"]:
            problems.append(f"pgkeel.toml(5) has no {key}")
    print("\n".join(problems) or f"{len(verbs)} verbs")
    return 1 if problems else 0


sys.exit(main())
