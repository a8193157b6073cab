"""Every header compiles alone. One that a source includes before all else does so in every build (each source is built:
check_files.py); the others are compiled here. What was seen to compile is remembered by the content of all that it
includes."""

import concurrent.futures
import hashlib
import os
import pathlib
import re
import shlex
import shutil
import subprocess

from source_tree import Finding

FIRST_INCLUDE = re.compile(r'\s*#\s*include\s*"([^"]+)"')
OUR_INCLUDE = re.compile(r'^\s*#\s*include\s*"([^"]+)"', re.MULTILINE)
PACKAGES = ("libpq", "libuv")


def package_flags():
    if not shutil.which("pkg-config"):
        return []
    run = subprocess.run(["pkg-config", "--cflags", *PACKAGES], capture_output=True, text=True, check=False)
    return shlex.split(run.stdout) if run.returncode == 0 else []


def compiled_alone_by_the_build(tree):
    """The headers before which nothing stands in some source."""
    beginnings = (FIRST_INCLUDE.match(tree.code(name)) for name in tree.with_suffix(".cpp"))
    return {first.group(1) for first in beginnings if first}


def all_included(tree, path):
    """The header, and those of ours that it includes, however far away."""
    known, found, waiting = set(tree.files), set(), [path]
    while waiting:
        name = waiting.pop()
        if name in known and name not in found:
            found.add(name)
            waiting += OUR_INCLUDE.findall(tree.text(name))
    return sorted(found)


def fingerprint(tree, path, command_and_version):
    digest = hashlib.sha256(command_and_version.encode())
    for name in all_included(tree, path):
        digest.update(f"\0{name}\0{tree.text(name)}".encode())
    return digest.hexdigest()


def check(tree):
    compiler = shlex.split(os.environ.get("CXX", "c++"))
    command = [*compiler, "-std=c++20", "-fsyntax-only", "-Wall", "-Wextra", "-Werror", "-I.", *package_flags(), "-x", "c++", "-"]
    version = subprocess.run([*compiler, "--version"], capture_output=True, text=True, check=False).stdout
    memory = pathlib.Path(tree.root) / "build" / "lint"
    memory.mkdir(parents=True, exist_ok=True)

    def compile_alone(path):
        seen = memory / fingerprint(tree, path, version + " ".join(command))
        if seen.exists():
            return None
        run = subprocess.run(command, input=f'#include "{path}"\n', cwd=tree.root, capture_output=True, text=True, check=False)
        if run.returncode == 0:
            seen.touch()
            return None
        first_error = next((line for line in run.stderr.splitlines() if "error" in line), run.stderr.strip())
        return Finding(path, 1, f"does not compile alone: {first_error}")

    with concurrent.futures.ThreadPoolExecutor(max_workers=os.cpu_count()) as pool:
        left = sorted(set(tree.with_suffix(".h")) - compiled_alone_by_the_build(tree))
        yield from filter(None, pool.map(compile_alone, left))
