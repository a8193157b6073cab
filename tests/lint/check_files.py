"""The shape of files and of the tree: what lies where, how long it is, how a header begins, what is built."""

import pathlib
import re

from source_tree import CODE, TEXT, Finding

TOP_LEVEL = {"CMakeLists.txt", "CMakePresets.json", "README.md", "LICENSE",
             "proxy", "health", "replication", "config", "tests", "deploy", "build"}
LINES_MOST = 400
# Split, so that this file does not match itself.
MACHINE_PATH = re.compile("(?<![\\w.])/(?:ho" "me|Us" "ers|ro" "ot|wo" "rk)/[\\w.-]+")


def check(tree):
    yield from check_top_level(tree)
    yield from check_lengths(tree)
    yield from check_headers_begin(tree)
    yield from check_sources_are_built(tree)
    yield from check_text(tree)


def check_top_level(tree):
    for name in sorted({path.split("/")[0] for path in tree.files}):
        if name not in TOP_LEVEL and not name.startswith("."):
            yield Finding(name, 0, "does not belong to the top level; it has a place in one of its folders")


def check_lengths(tree):
    reasons = {}
    list_name = "tests/lint/long_files.txt"
    for line in tree.text(list_name).splitlines() if list_name in tree.files else ():
        path, _, reason = line.partition(" ")
        if path and not path.startswith("#"):
            reasons[path] = reason.strip()
    for path in tree.with_suffix(CODE + (".py", ".sh")) + tree.scripts():
        lines = tree.text(path).count("\n")
        reason = reasons.pop(path, None)
        if lines > LINES_MOST and not reason:
            yield Finding(path, 0, f"has {lines} lines, more than {LINES_MOST}: divide it, or give a reason in {list_name}")
        if lines <= LINES_MOST and reason is not None:
            yield Finding(list_name, 0, f"{path} is not long any more")
    for path in reasons:
        yield Finding(list_name, 0, f"{path} is not there")


def check_headers_begin(tree):
    for path in tree.with_suffix(".h"):
        if not tree.text(path).startswith("// "):
            yield Finding(path, 1, "a header opens with what the thing is and which thread may touch it")
        if "\n#pragma once\n" not in tree.text(path):
            yield Finding(path, 1, "has no #pragma once")


def check_sources_are_built(tree):
    """A source that no CMakeLists.txt names is dead, and a test that none names never fails."""
    for path in tree.with_suffix(".cpp"):
        folder = pathlib.PurePosixPath(path).parent
        lists = [str(parent / "CMakeLists.txt") for parent in (folder, *folder.parents)]
        relative = [(name, path.removeprefix(name.removesuffix("CMakeLists.txt"))) for name in lists if name in tree.files]
        if not any(re.search(rf"(?<![\w/.]){re.escape(short)}(?![\w.])", tree.text(name)) or
                   f"/{path}" in tree.text(name) for name, short in relative):
            yield Finding(path, 0, "no CMakeLists.txt names it")


def check_text(tree):
    for path in tree.with_suffix(TEXT) + tree.scripts():
        text = tree.text(path)
        if text and not text.endswith("\n"):
            yield Finding(path, text.count("\n") + 1, "the last line has no end")
        for number, line in enumerate(text.splitlines(), 1):
            if line != line.rstrip():
                yield Finding(path, number, "blanks at the end of the line")
            match = MACHINE_PATH.search(line)
            if match:
                yield Finding(path, number, f"{match.group()} is a path of one machine")
