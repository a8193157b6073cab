// Standbys that hold another log than a primary of the same timeline: nothing is thrown away unnamed.
#include <filesystem>

#include <doctest/doctest.h>

#include "proxy/io/child_process.h"
#include "tests/unit/agent/agent_fixture.h"

using namespace pgkeel;
using namespace pgkeel::test;

namespace {

// The primary comes back from a snapshot: its standby has a row that it lost, on the very timeline that it writes.
struct PrimaryFromSnapshot : ServerPair {
  PrimaryFromSnapshot() {
    namespace files = std::filesystem;
    const std::string directory = a->data_directory();
    a->stop();
    const auto run = [](std::vector<std::string> arguments) {
      if (!run_program({.arguments = std::move(arguments), .limit = 60s})) throw std::runtime_error("no snapshot");
    };
    run({"cp", "-a", directory, directory + ".snapshot"});
    a->start();
    a->query("INSERT INTO t VALUES (-1)");
    if (!a->wait_caught_up("b")) throw std::runtime_error("b does not catch up");
    b->kill_tree();
    a->kill_tree();
    files::remove_all(directory);
    files::rename(directory + ".snapshot", directory);
    a->start();
  }

  void check_rejoin_of_b() {
    const auto report = rejoin(*b, *a);
    INFO(said());
    REQUIRE_MESSAGE(report, report.error().message);
    CHECK(report->method == "basebackup");
    REQUIRE_FALSE(report->quarantine.empty());
    CHECK(std::filesystem::exists(report->moved_aside + "/PG_VERSION"));
    CHECK(said().find("the cluster lacks 1 committed transaction") != std::string::npos);
    CHECK(ServerPair::replicates(*a, *b));
  }
};

}  // namespace

TEST_CASE("a standby that has more than its primary is set aside with a report before it is rebuilt") {
  PrimaryFromSnapshot pair;
  pair.check_rejoin_of_b();
  CHECK(pair.said().find(" up to ") != std::string::npos);
}

TEST_CASE("so is one whose primary has written other WAL past where it ends") {
  PrimaryFromSnapshot pair;
  pair.a->query("INSERT INTO t SELECT generate_series(1, 5000)");
  pair.check_rejoin_of_b();
  CHECK(pair.said().find("anew in another way") != std::string::npos);
}
