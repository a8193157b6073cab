"""C++ is as clang-format writes it. Other versions write it otherwise, so only the one the tree was written with counts."""

import re
import shutil
import subprocess

from source_tree import CODE, Finding

MAJOR_VERSION = 14
MESSAGE = re.compile(r"^(?P<path>[^:\n]+):(?P<line>\d+):\d+: error: code should be clang-formatted", re.MULTILINE)


def program_of_the_right_version():
    for program in filter(None, map(shutil.which, (f"clang-format-{MAJOR_VERSION}", "clang-format"))):
        version = subprocess.run([program, "--version"], capture_output=True, text=True, check=False).stdout
        found = re.search(r"version (\d+)", version)
        if found and int(found.group(1)) == MAJOR_VERSION:
            return program
    return None


def check(tree):
    program = program_of_the_right_version()
    if program is None:
        print(f"lint: formatting is not checked: that needs clang-format {MAJOR_VERSION}")
        return
    files = tree.with_suffix(CODE)
    if not files:
        return
    run = subprocess.run([program, "--dry-run", "--Werror", "--ferror-limit=1", *files],
                         cwd=tree.root, capture_output=True, text=True, check=False)
    for match in MESSAGE.finditer(run.stderr):
        yield Finding(match["path"], int(match["line"]), "is not as clang-format writes it; run: clang-format -i " + match["path"])
    if run.returncode != 0 and not MESSAGE.search(run.stderr):
        yield Finding(".clang-format", 0, "clang-format failed: " + run.stderr.strip())
