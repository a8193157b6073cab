"""Calls that have a better replacement here, and the places where they are right."""

import re

from source_tree import CODE, Finding

EVERYWHERE = ("",)
PRODUCT = ("proxy/", "health/", "replication/", "config/")
ON_A_LOOP = ("proxy/io/", "proxy/wire/", "proxy/session/", "proxy/routing/", "proxy/cancel/", "proxy/listener/", "health/",
             "replication/model/", "replication/decide/")
NOT_A_MEMBER = r"(?<![\w.>])(?<!\w::)(?:std::|::)?"

# (what, where it is banned, where it is allowed all the same, what to use)
BANNED = (
    (r"\b(?:steady|system|high_resolution)_clock::now\b", PRODUCT, ("proxy/io/",),
     "take the time as a parameter; only proxy/io/clock.h reads it"),
    (NOT_A_MEMBER + r"(?:clock_gettime|gettimeofday|time)\s*\(", PRODUCT, ("proxy/io/",),
     "take the time as a parameter; only proxy/io/clock.h reads it"),
    (r"\bstd::random_device\b", PRODUCT, ("proxy/io/",), "take randomness as a parameter"),
    (NOT_A_MEMBER + r"s?rand\s*\(", EVERYWHERE, (), "a seeded generator of <random>, handed in"),
    (r"\buv_\w+\s*\(", EVERYWHERE, ("proxy/io/",), "the handles of proxy/io"),
    (r"\bPQ[a-z]\w*\s*\(", PRODUCT, ("proxy/io/",), "proxy/io/pg_connection.h"),
    (r"\bSSL_\w+\s*\(", EVERYWHERE, ("proxy/io/", "tests/support/tls_peer", "tests/bench/bench_connection"),
     "the TLS streams of proxy/io"),
    (NOT_A_MEMBER + r"(?:system|popen)\s*\(", EVERYWHERE, (), "proxy/io/child_process.h"),
    (r"\b(?:strtok|strcpy|strcat|v?sprintf|gets)\s*\(", EVERYWHERE, (), "std::string, std::string_view or fmt::format"),
    (NOT_A_MEMBER + r"ato(?:i|l|ll|f)\s*\(", PRODUCT, (), "std::from_chars, which tells errors"),
    (r"\busing\s+namespace\s+std\s*;", EVERYWHERE, (), "write std::"),
    (r"\b(?:sleep_for|sleep_until|usleep|nanosleep)\s*\(", ON_A_LOOP, ("proxy/io/patient_bind",),
     "proxy/io/timer.h: a loop must not sleep"),
)
UNFINISHED = re.compile(r"\b(?:TO" r"DO|FIX" r"ME|X" r"XX)\b")


def check(tree):
    rows = [(re.compile(what), where, allowed, instead) for what, where, allowed, instead in BANNED]
    for path in tree.with_suffix(CODE):
        code_lines = tree.code(path).splitlines()
        for pattern, where, allowed, instead in rows:
            if not path.startswith(where) or (allowed and path.startswith(allowed)):
                continue
            for number, line in enumerate(code_lines, 1):
                match = pattern.search(line)
                if match:
                    yield Finding(path, number, f"{match.group().strip(' (')}: not here; instead: {instead}")
        for number, line in enumerate(tree.text(path).splitlines(), 1):
            if UNFINISHED.search(line):
                yield Finding(path, number, "finish it, or open an issue")
