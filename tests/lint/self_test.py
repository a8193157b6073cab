#!/usr/bin/env python3
"""Each check finds what it is there for, in a small tree that breaks its rule, and nothing in one that does not."""

import pathlib
import sys
import tempfile
import unittest

sys.dont_write_bytecode = True

import check_calls
import check_files
import check_format
import check_headers
import check_layers
from source_tree import SourceTree, without_comments_and_strings

HEADER = "// A thing. Any thread.\n#pragma once\n"

# One line for each row of check_calls.BANNED, in its order.
BANNED_SAMPLES = (
    "auto t = std::chrono::steady_clock::now();",
    "auto t = std::time(nullptr);",
    "std::random_device device;",
    "int i = rand();",
    "uv_timer_start(&timer, tick, 1, 1);",
    "PQfinish(connection);",
    "SSL_read(ssl, buffer, 1);",
    'int s = std::system("ls");',
    'sprintf(text, "%d", 1);',
    "int i = std::atoi(text);",
    "using namespace std;",
    "std::this_thread::sleep_for(1s);",
)


class LintTest(unittest.TestCase):
    def setUp(self):
        self.folder = tempfile.TemporaryDirectory(prefix="pgkeel-lint-")
        self.addCleanup(self.folder.cleanup)

    def findings(self, check, files):
        """What `check` says of a tree with these files (path → text), without the messages' reasons."""
        for path, text in files.items():
            file = pathlib.Path(self.folder.name) / path
            file.parent.mkdir(parents=True, exist_ok=True)
            file.write_text(text, encoding="utf-8")
        return [str(finding) for finding in check(SourceTree(self.folder.name))]

    def assert_found(self, check, files, *expected):
        found = self.findings(check, files)
        self.assertEqual(len(found), len(expected), found)
        for part, finding in zip(expected, sorted(found)):
            self.assertIn(part, finding)

    def test_every_row_of_the_banned_calls_finds_its_call_and_names_another(self):
        self.assertEqual(len(BANNED_SAMPLES), len(check_calls.BANNED))
        for sample, row in zip(BANNED_SAMPLES, check_calls.BANNED):
            with self.subTest(sample):
                self.assert_found(check_calls.check, {"health/a.cpp": f"void f() {{\n  {sample}\n}}\n"},
                                  "health/a.cpp:2: ")
                self.assertIn(row[3], self.findings(check_calls.check, {})[0])

    def test_a_banned_call_is_found_only_where_it_is_banned_and_only_in_code(self):
        self.assert_found(check_calls.check, {
            "proxy/io/clock.cpp": "auto t = std::chrono::steady_clock::now();\nuv_run(loop, mode);\n",
            "health/a.cpp": '// rand() is not used\nauto s = "popen(x)"; auto n = 10\'000; auto r = R"(system(1))";\n'
                            "x.system(1); y->time(2); brand(3); Thing::time(4); snprintf(5);\n",
            "tests/support/a.cpp": "PQfinish(connection);\nstd::atoi(text);\n",
        })

    def test_unfinished_work_is_found_in_comments(self):
        self.assert_found(check_calls.check, {"health/a.cpp": "// TO" "DO: later\n"}, "health/a.cpp:1: finish it")

    def test_an_include_against_the_direction_is_found(self):
        self.assert_found(
            check_layers.check,
            {
                "proxy/base/a.h": HEADER + '#include "proxy/io/loop.h"\n',
                "proxy/io/loop.h": HEADER,
                "replication/decide/decide.cpp": '#include "proxy/io/loop.h"\n#include "proxy/base/log.h"\n'
                                                 '#include "proxy/base/lsn.h"\n',
                "proxy/base/log.h": HEADER,
                "proxy/base/lsn.h": HEADER,
                "proxy/session/a.cpp": '#include "replication/decide/decide.h"\n',
                "replication/decide/decide.h": HEADER,
                "health/stall_guard.cpp": '#include "proxy/io/loop.h"\n',
            },
            "health/stall_guard.cpp:1: may not include",
            "proxy/base/a.h:3: may not include",
            "proxy/session/a.cpp:1: may not include",
            "replication/decide/decide.cpp:1: may not include",
            "replication/decide/decide.cpp:2: may not include",
        )

    def test_includes_along_the_direction_are_fine(self):
        self.assert_found(check_layers.check, {
            "proxy/io/loop.h": HEADER,
            "proxy/base/lsn.h": HEADER,
            "proxy/base/log.h": HEADER,
            "proxy/session/session_stats.h": HEADER,
            "health/monitor.cpp": '#include "health/monitor.h"\n#include "proxy/io/loop.h"\n#include "proxy/base/log.h"\n',
            "health/monitor.h": HEADER + '#include "proxy/base/lsn.h"\n',
            "proxy/metrics/exporter.cpp": '#include "proxy/session/session_stats.h"\n#include <prometheus/gauge.h>\n',
            "proxy/main.cpp": '#include "health/monitor.h"\n',
            "tests/unit/a.cpp": '#include "health/monitor.h"\n#include <libpq-fe.h>\n',
        })

    def test_an_include_that_is_not_there_and_a_folder_without_a_row_are_found(self):
        self.assert_found(
            check_layers.check,
            {"health/a.cpp": '#include "lsn.h"\n', "attic/a.cpp": '#include "health/b.h"\n', "health/b.h": HEADER},
            "attic/a.cpp:1: attic is not in tests/lint/layers.txt",
            'health/a.cpp:1: includes "lsn.h", which is not there',
        )

    def test_every_library_has_its_place(self):
        for beginning, allowed, _ in check_layers.LIBRARY_HEADERS:
            with self.subTest(beginning):
                inside = allowed[0] if allowed[0].endswith(".cpp") else allowed[0] + "a.cpp"
                line = f"#include <{beginning}{'x.h' if beginning.endswith('/') else ''}>\n"
                self.assert_found(check_layers.check, {"proxy/wire/a.cpp": line, inside: line},
                                  "proxy/wire/a.cpp:1: may not include")
                (pathlib.Path(self.folder.name) / inside).unlink()

    def test_rows_of_the_layers_are_read_by_the_longest_name(self):
        layers = check_layers.Layers("a:\nb: a -a/x\nb/one: a c\nc: .\n")
        self.assertTrue(layers.allow("b/two.cpp", "a/y.h"))
        self.assertFalse(layers.allow("b/two.cpp", "a/x.h"))
        self.assertFalse(layers.allow("b/two.cpp", "c/z.h"))
        self.assertTrue(layers.allow("b/one.cpp", "a/y.h"))
        self.assertTrue(layers.allow("b/one.cpp", "a/x.h"))
        self.assertTrue(layers.allow("b/one.h", "c/z.h"))
        self.assertTrue(layers.allow("c/z.h", "b/two.h"))
        self.assertIsNone(layers.allow("d/z.h", "b/two.h"))

    def test_the_top_level_is_fixed(self):
        self.assert_found(check_files.check, {"notes/plan.md": "x\n", "LICENSE": "x\n", ".ci/run": "x\n"},
                          "notes: does not belong to the top level")

    def test_a_long_file_needs_a_reason_and_a_short_one_none(self):
        built = {"health/CMakeLists.txt": "a.cpp b.cpp c.cpp\n"}
        long = "int a;\n" * 401
        self.assert_found(
            check_files.check,
            built | {"health/a.cpp": long, "health/b.cpp": long, "health/c.cpp": "int a;\n",
                     "tests/lint/long_files.txt": "health/b.cpp a table\nhealth/c.cpp a table\nhealth/d.cpp a table\n"},
            "health/a.cpp: has 401 lines",
            "health/c.cpp is not long any more",
            "health/d.cpp is not there",
        )

    def test_a_header_opens_with_what_it_is(self):
        self.assert_found(check_files.check, {"health/a.h": "int a;\n", "health/b.h": HEADER},
                          "health/a.h:1: a header opens", "health/a.h:1: has no #pragma once")

    def test_a_source_that_is_not_built_is_found(self):
        self.assert_found(check_files.check,
                          {"health/CMakeLists.txt": "SOURCES new_probe.cpp sub/named.cpp\n", "health/probe.cpp": "int a;\n",
                           "health/sub/named.cpp": "int b;\n"},
                          "health/probe.cpp: no CMakeLists.txt names it")

    def test_untidy_text_and_paths_of_one_machine_are_found(self):
        self.assert_found(check_files.check,
                          {"health/README.md": "blank \nsee /ho" "me/someone/pgkeel\nno end", "deploy/a.md": "fine\n"},
                          "health/README.md:1: blanks", "health/README.md:2: /ho" "me/someone is a path",
                          "health/README.md:3: the last line has no end")

    def test_a_header_that_does_not_compile_alone_is_found_every_time(self):
        files = {"health/a.h": HEADER + "inline std::string a;\n", "health/b.h": HEADER + "inline int b;\n"}
        self.assert_found(check_headers.check, files, "health/a.h:1: does not compile alone: ")
        self.assert_found(check_headers.check, {}, "health/a.h:1: does not compile alone: ")
        self.assert_found(check_headers.check, {"health/a.h": HEADER + "#include <string>\ninline std::string a;\n"})
        self.assert_found(check_headers.check, {"health/c.h": HEADER + '#include "health/b.h"\ninline int c = b;\n'})
        self.assert_found(check_headers.check, {"health/b.h": HEADER}, "health/c.h:1: does not compile alone: ")

    def test_a_header_that_a_source_begins_with_is_left_to_the_build(self):
        header = {"health/a.h": HEADER + "inline std::string a;\n"}
        self.assert_found(check_headers.check, header | {"health/a.cpp": '// It is.\n#include "health/a.h"\n'})
        late = {"health/a.cpp": '#include <string>\n#include "health/a.h"\n'}
        self.assert_found(check_headers.check, header | late, "health/a.h:1: does not compile alone: ")
        defined = {"health/a.cpp": '#define A\n#include "health/a.h"\n'}
        self.assert_found(check_headers.check, header | defined, "health/a.h:1: does not compile alone: ")

    def test_code_that_is_not_formatted_is_found_where_the_version_fits(self):
        if check_format.program_of_the_right_version() is None:
            self.skipTest("needs clang-format of the version that the tree is written with")
        self.assert_found(check_format.check,
                          {".clang-format": "BasedOnStyle: Google\n", "health/a.cpp": "int   a;\n", "health/b.cpp": "int b;\n"},
                          "health/a.cpp:1: is not as clang-format writes it")

    def test_comments_and_strings_are_blanked_and_lines_stay(self):
        code = without_comments_and_strings('#include "a/b.h"  // c\n/* d\n e */ f("g\\"h", \'"\', 1\'000);\n')
        self.assertEqual(code.split(), ["#include", '"a/b.h"', "f(", ",", ",", "1'000);"])
        self.assertEqual(code.count("\n"), 3)


if __name__ == "__main__":
    unittest.main()
