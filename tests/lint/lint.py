#!/usr/bin/env python3
"""Holds the tree to the rules that a compiler does not know (tests/lint/README.md).

tests/lint/lint.py [--root FOLDER] [CHECK...]     all checks but "headers", which compiles, unless some are named
"""

import argparse
import pathlib
import sys

sys.dont_write_bytecode = True  # the tree stays as it was

import check_calls
import check_files
import check_format
import check_headers
import check_layers
from source_tree import SourceTree

CHECKS = {
    "layers": check_layers.check,
    "calls": check_calls.check,
    "files": check_files.check,
    "format": check_format.check,
    "headers": check_headers.check,
}


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--root", default=pathlib.Path(__file__).resolve().parents[2])
    parser.add_argument("checks", nargs="*", metavar="CHECK", help=", ".join(CHECKS))
    arguments = parser.parse_args()
    unknown = set(arguments.checks) - set(CHECKS)
    if unknown:
        parser.error("no such check: " + ", ".join(sorted(unknown)))
    tree = SourceTree(arguments.root)
    names = arguments.checks or [name for name in CHECKS if name != "headers"]
    findings = sorted({str(finding) for name in names for finding in CHECKS[name](tree)})
    for finding in findings:
        print(finding)
    print(f"lint: {', '.join(names)}: {len(tree.files)} files, {len(findings)} findings")
    return 1 if findings else 0


if __name__ == "__main__":
    sys.exit(main())
