// Standbys fail, and both nodes fail.
#include "tests/e2e/cluster_fixture.h"

using namespace pgkeel;
using namespace pgkeel::test;
using namespace std::chrono_literals;

TEST_CASE("a standby that crashes is started again, and clients notice nothing") {
  Cluster cluster;
  Writers writers(cluster.pgkeel->conninfo(), 2);
  REQUIRE(writers.wait_for_more(20));
  cluster.server("b").kill_tree();
  REQUIRE(cluster.pgkeel->wait_for([](const auto& now) { return now["condition"] == "degraded"; }));
  REQUIRE_MESSAGE(cluster.pgkeel->wait_normal("a"), cluster.pgkeel->describe());
  REQUIRE(writers.wait_for_more(20));
  writers.stop();
  CHECK(writers.statement_errors().empty());
  CHECK(writers.count_lost(cluster.pgkeel->conninfo()) == 0);
  cluster.check_roles("a");
}

TEST_CASE("a standby that was shut down cleanly is left alone") {
  Cluster cluster;
  cluster.server("b").stop("fast");
  REQUIRE_MESSAGE(cluster.pgkeel->wait_for([](const auto& now) {
    return now["nodes"][1]["note"].template get<std::string>().find("shut down cleanly") != std::string::npos;
  }),
                  cluster.pgkeel->describe());
  CHECK_FALSE(cluster.server("b").is_running());
  cluster.server("b").start();
  REQUIRE_MESSAGE(cluster.pgkeel->wait_normal("a"), cluster.pgkeel->describe());
}

TEST_CASE("both crash, and no acknowledged row is lost, whoever dies first") {
  for (const bool primary_first : {true, false}) {
    CAPTURE(primary_first);
    Cluster cluster;
    Writers writers(cluster.pgkeel->conninfo(), 2);
    REQUIRE(writers.wait_for_more(20));
    if (primary_first) {
      cluster.server("a").kill_tree();
      cluster.server("b").kill_tree();
    } else {
      cluster.server("b").kill_tree();
      cluster.server("a").kill_tree();
    }
    REQUIRE_MESSAGE(cluster.pgkeel->wait_normal(), cluster.pgkeel->describe());
    // Where the crashed primary was started again, its commits still wait for b, which streams again.
    REQUIRE_MESSAGE(writers.wait_for_more(20), cluster.pgkeel->describe());
    writers.stop();
    CHECK(writers.count_lost(cluster.pgkeel->conninfo()) == 0);
    cluster.check_roles(cluster.pgkeel->status()["route"]);
  }
}

TEST_CASE("both are stopped by their operator, and come back in either order") {
  for (const bool primary_first : {true, false}) {
    CAPTURE(primary_first);
    Cluster cluster({"b"}, {.proxy_lines = {}, .cluster_lines = {"failover = \"manual\""}, .detection_lines = {}});
    cluster.server("b").stop("fast");
    cluster.server("a").stop("fast");
    REQUIRE(cluster.pgkeel->wait_for([](const auto& now) { return now["route"].is_null(); }));
    cluster.server(primary_first ? "a" : "b").start();
    cluster.server(primary_first ? "b" : "a").start();
    REQUIRE_MESSAGE(cluster.pgkeel->wait_normal("a"), cluster.pgkeel->describe());
    cluster.check_roles("a");
  }
}
