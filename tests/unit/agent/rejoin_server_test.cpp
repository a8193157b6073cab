// Rejoins on real servers.
#include <filesystem>

#include <doctest/doctest.h>

#include "proxy/io/durable_file.h"
#include "tests/unit/agent/agent_fixture.h"

using namespace pgkeel;
using namespace pgkeel::test;

TEST_CASE("a crashed primary that holds nothing of its own is started as a standby, without a rewind") {
  ServerPair pair;
  pair.a->kill_tree();
  ServerPair::promote(*pair.b, "a");
  pair.b->query("INSERT INTO t VALUES (1)");
  const auto report = pair.rejoin(*pair.a, *pair.b);
  REQUIRE_MESSAGE(report, report.error().message);
  CHECK(report->method == "start");
  CHECK(report->quarantine.empty());
  CHECK(report->moved_aside.empty());
  CHECK(ServerPair::replicates(*pair.b, *pair.a));
  CHECK(pair.a->value("SHOW port") == std::to_string(pair.a->port()));
}

TEST_CASE("a diverged primary is set aside, rewound and streams again; and back once more") {
  ServerPair pair;
  pair.diverge();
  const auto report = pair.rejoin(*pair.a, *pair.b);
  INFO(pair.said());
  REQUIRE_MESSAGE(report, report.error().message);
  CHECK(report->method == "rewind");
  CHECK(report->moved_aside.empty());
  REQUIRE(std::filesystem::exists(report->quarantine + "/report.json"));
  CHECK(ServerPair::replicates(*pair.b, *pair.a));
  CHECK(pair.a->value("SELECT count(*) FROM t WHERE x = -1") == "0");
  CHECK(pair.a->value("SHOW port") == std::to_string(pair.a->port()));
  CHECK(pair.a->value("SHOW cluster_name") == "a");

  // What the quarantine holds is the server as it was: started, it shows the lost row.
  pair.b->kill_tree();
  ServerPair::promote(*pair.a, "b");
  const auto back = pair.rejoin(*pair.b, *pair.a);
  REQUIRE_MESSAGE(back, back.error().message);
  CHECK(back->method == "start");
  CHECK(ServerPair::replicates(*pair.a, *pair.b));
}
