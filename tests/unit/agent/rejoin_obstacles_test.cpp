// What a rejoin needs, taken away: it says what to mend, and succeeds once that is mended.
#include <filesystem>
#include <fstream>

#include "proxy/io/durable_file.h"
#include "tests/unit/agent/rejoin_fixture.h"
#include "tests/unit/agent/small_disk.h"

using namespace pgkeel;
using namespace pgkeel::test;

namespace {

std::size_t entries_in(const std::string& folder) {
  return static_cast<std::size_t>(std::distance(std::filesystem::directory_iterator(folder), {}));
}

}  // namespace

TEST_CASE("no room for the new data directory: that is said, nothing is left behind, and with room it succeeds") {
  ServerPair pair;
  const SmallDisk disk(pair.folder.path() + "/small");
  if (!disk.made()) {
    MESSAGE("not tested: no file system may be mounted here");
    return;
  }
  auto settings = pair.b->local();
  settings.data_directory = pair.folder.path() + "/small/c";
  const LocalServer server("c", {"127.0.0.1", free_port()}, settings);
  ServerPair::prepare_upstream(*pair.a, "c");

  const auto refused = pair.rejoin(server, ServerPair::upstream(*pair.a));
  REQUIRE_FALSE(refused);
  CHECK(refused.error().message.starts_with("no room for a new data directory: it takes "));
  CHECK(refused.error().message.ends_with(" MB, and in " + disk.path() +
                                          " there is room for 13 MB; make room and rejoin again"));
  CHECK(entries_in(disk.path()) == 1);  // the lock

  REQUIRE(disk.enlarge());
  const auto report = pair.rejoin(server, ServerPair::upstream(*pair.a));
  INFO(pair.said());
  REQUIRE_MESSAGE(report, report.error().message);
  CHECK(report->method == "basebackup");
  CHECK(pair.a->wait_streams("c"));
  CHECK(server.fence(10s));
}

TEST_CASE("a quarantine that is full before its copy is: the directory is moved aside instead, and holds every row") {
  ServerPair pair;
  pair.diverge();
  const SmallDisk disk(pair.folder.path() + "/small", "size=600m,nr_inodes=200");  // room, but not for so many files
  if (!disk.made()) {
    MESSAGE("not tested: no file system may be mounted here");
    return;
  }
  const LocalServer server("a", {"127.0.0.1", pair.a->port()}, pair.a->local(), disk.path());
  const auto report = pair.rejoin(server, ServerPair::upstream(*pair.b));
  INFO(pair.said());
  REQUIRE_MESSAGE(report, report.error().message);
  CHECK(report->method == "basebackup");
  CHECK(pair.said().find("cannot set aside what the node alone has: ") != std::string::npos);
  CHECK(pair.said().find("No space left on device") != std::string::npos);
  CHECK(pair.said().find("; so it is moved aside and rebuilt\n") != std::string::npos);
  CHECK(entries_in(disk.path()) == 1);  // the report, and nothing of the copy
  CHECK(std::filesystem::exists(report->quarantine + "/report.json"));
  CHECK_FALSE(std::filesystem::exists(report->quarantine + "/data"));
  CHECK(has_all_rows_of_a(report->moved_aside));
  CHECK(ServerPair::replicates(*pair.b, *pair.a));
}

TEST_CASE("no room for a copy, and none for the new directory either once it is made: the rows are written out first") {
  ServerPair pair;
  pair.diverge();
  const SmallDisk disk(pair.folder.path() + "/small", "size=600m,nr_inodes=200");
  if (!disk.made()) {
    MESSAGE("not tested: no file system may be mounted here");
    return;
  }
  const auto programs = programs_with(pair.folder, "pg_basebackup",
                                      "echo 'pg_basebackup: error: could not write to file \"1\": No space left on "
                                      "device' >&2; exit 1");
  auto settings = pair.a->local();
  settings.bin_directory = programs;
  const LocalServer server("a", {"127.0.0.1", pair.a->port()}, settings, disk.path());
  const auto report = pair.rejoin(server, ServerPair::upstream(*pair.b));
  INFO(pair.said());
  REQUIRE_MESSAGE(report, report.error().message);
  CHECK(report->method == "rewind");
  CHECK(pair.said().find("No space left on device; so the rows that it alone has are written out first\n") !=
        std::string::npos);
  CHECK(entries_in(disk.path()) == 1);  // one report, which was to be of a directory that is moved aside
  CHECK(read_file(report->quarantine + "/export/postgres/public.t.inserted.csv").value() == "x\n-1\n");
  CHECK(read_file(report->quarantine + "/report.json")->find("\"data\": \"\"") != std::string::npos);
  CHECK(ServerPair::replicates(*pair.b, *pair.a));
}

TEST_CASE(
    "pg_hba.conf does not let the replication role in: that is said, nothing is touched, and with the line it "
    "succeeds") {
  ServerPair pair;
  pair.diverge();
  const auto hba = pair.b->data_directory() + "/pg_hba.conf";
  std::ofstream(hba, std::ios::trunc) << "host all postgres 127.0.0.1/32 trust\n";
  pair.b->query("SELECT pg_reload_conf()");
  const auto entries = entries_in(pair.folder.path());
  const auto before = content_of(pair.a->data_directory());
  REQUIRE(wait_until([&] {
    const auto refused = pair.rejoin(*pair.a, *pair.b);
    return !refused && refused.error().message.find("no pg_hba.conf entry for replication") != std::string::npos;
  }));
  CHECK_FALSE(pair.a->is_running());
  CHECK(entries_in(pair.folder.path()) == entries);
  CHECK(content_of(pair.a->data_directory()) == before);

  std::ofstream(hba, std::ios::app) << "host all,replication pgkeel_repl 127.0.0.1/32 trust\n";
  pair.b->query("SELECT pg_reload_conf()");
  const auto report = pair.rejoin(*pair.a, *pair.b);
  INFO(pair.said());
  REQUIRE_MESSAGE(report, report.error().message);
  CHECK(has_all_rows_of_a(report->quarantine + "/data"));
  CHECK(ServerPair::replicates(*pair.b, *pair.a));
}
