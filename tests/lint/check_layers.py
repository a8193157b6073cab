"""Who includes whom: layers.txt for our own headers, a list here for those of libraries."""

import pathlib
import re

from source_tree import CODE, Finding

INCLUDE = re.compile(r'^\s*#\s*include\s*(?:"([^"]+)"|<([^>]+)>)')

# (begins with, who may include it, why)
LIBRARY_HEADERS = (
    ("uv.h", ("proxy/io/",), "only proxy/io speaks to libuv; use its handles"),
    ("openssl/", ("proxy/io/", "tests/support/tls_peer", "tests/bench/bench_connection"),
     "only proxy/io speaks to OpenSSL"),
    ("libpq-fe.h", ("proxy/io/", "tests/"), "only proxy/io speaks to libpq; use proxy/io/pg_connection.h"),
    ("toml++/", ("config/parse.cpp",), "only config/parse.cpp reads TOML"),
    ("prometheus/", ("proxy/metrics/",), "only proxy/metrics speaks to prometheus-cpp"),
    ("httplib.h", ("proxy/http/", "proxy/admin/", "proxy/cli/", "replication/agent/agent_server.cpp",
     "replication/peers/peer_server.cpp", "tests/"),
     "HTTP is spoken in proxy/http, proxy/admin, proxy/cli, the agent's and the peers' server"),
    ("curl/", ("proxy/io/",), "only proxy/io speaks to libcurl; use proxy/io/https_client.h"),
    ("spdlog/", ("proxy/app/",), "the log is set up in proxy/app; use proxy/base/log.h"),
    ("CLI/", ("proxy/cli/", "proxy/main.cpp", "tests/"), "arguments are parsed in proxy/cli"),
    ("doctest/", ("tests/",), "doctest is for tests"),
)


class Layers:
    """The rows of layers.txt."""

    def __init__(self, text):
        self.rows = {}
        for number, line in enumerate(text.splitlines(), 1):
            line = line.split("#")[0].strip()
            if not line:
                continue
            name, colon, targets = line.partition(":")
            if not colon:
                raise ValueError(f"layers.txt:{number}: no colon")
            self.rows[name.strip()] = targets.split()

    def _row_of(self, path):
        fitting = [name for name in self.rows if covers(name, path)]
        return max(fitting, key=len, default=None)

    def allow(self, path, included):
        """Whether the file `path` may include the header `included`; None where no row speaks of `path`."""
        row = self._row_of(path)
        if row is None:
            return None
        if folder_of(path) == folder_of(included) or covers(row, included):
            return True
        fitting = [(len(target.lstrip("-")), position, not target.startswith("-"))
                   for position, target in enumerate(self.rows[row]) if covers(target.lstrip("-"), included)]
        return max(fitting)[2] if fitting else False


def folder_of(path):
    return path.rsplit("/", 1)[0] if "/" in path else ""


def covers(name, path):
    """A folder covers all below it; "a/b" covers a/b.h and a/b.cpp; "." covers everything."""
    return name == "." or path.startswith(name + "/") or path.rsplit(".", 1)[0] == name or path == name


def check(tree):
    layers = Layers((pathlib.Path(__file__).parent / "layers.txt").read_text(encoding="utf-8"))
    known = set(tree.files)
    for path in tree.with_suffix(CODE):
        for number, line in enumerate(tree.code(path).splitlines(), 1):
            match = INCLUDE.match(line)
            if not match:
                continue
            ours, theirs = match.groups()
            if theirs:
                for beginning, allowed, why in LIBRARY_HEADERS:
                    if theirs.startswith(beginning) and not path.startswith(allowed):
                        yield Finding(path, number, f"may not include <{theirs}>: {why}")
            elif ours not in known:
                yield Finding(path, number, f'includes "{ours}", which is not there; paths begin at the root of the tree')
            else:
                allowed = layers.allow(path, ours)
                if allowed is None:
                    yield Finding(path, number, f"{folder_of(path)} is not in tests/lint/layers.txt")
                elif not allowed:
                    yield Finding(path, number, f'may not include "{ours}" (tests/lint/layers.txt)')
