// Failovers of a cluster whose servers have agents.
#include "tests/e2e/agent_fixture.h"

using namespace pgkeel;
using namespace pgkeel::test;
using namespace std::chrono_literals;

TEST_CASE("crash: the agent says so, the old primary is proven stopped, and comes back through its agent") {
  AgentCluster cluster;
  const auto normal_on = [&](const std::string& primary) {
    REQUIRE_MESSAGE(cluster.pgkeel->wait_normal(primary), cluster.pgkeel->describe());
  };
  for (const auto& [from, to] : {std::pair("a", "b"), std::pair("b", "a")}) {
    CAPTURE(from);
    Writers writers(cluster.pgkeel->conninfo(), 2);
    REQUIRE(writers.wait_for_more(20));
    cluster.server(from).kill_tree();
    REQUIRE_MESSAGE(writers.wait_for_more(20), cluster.pgkeel->describe());
    writers.stop();
    normal_on(to);
    cluster.check_roles(to, from);
    CHECK_MESSAGE(cluster.event_with(std::string(from) + " failed: the agent says: postmaster") != "",
                  cluster.pgkeel->describe());
    CHECK(cluster.event_with("fence " + std::string(from) + ": done: proven stopped") != "");
    CHECK(cluster.event_with("rejoin " + std::string(from) + ": done: a standby of " + to) != "");
  }
}

TEST_CASE("hang: a frozen primary is ended through its agent before its standby is promoted") {
  AgentCluster cluster;
  cluster.server("a").freeze_tree();
  REQUIRE_MESSAGE(cluster.pgkeel->wait_normal("b"), cluster.pgkeel->describe());
  cluster.check_roles("b", "a");
  CHECK(cluster.event_with("fence a: done: proven stopped") != "");
}

TEST_CASE("an agent that was killed is silence: the cluster is degraded, and probes alone decide a failover") {
  AgentCluster cluster;
  const auto readiness = [&] { return cluster.pgkeel->run_verb({"check", "--live"}).output; };
  const std::string ready = readiness();
  CHECK_MESSAGE(ready.find(" agent") == std::string::npos, ready);
  CHECK(ready.find("by SQL only") == std::string::npos);
  CHECK(cluster.pgkeel->metrics().find("pgkeel_agent_certificate_end_timestamp_seconds{cluster=\"test\",node=\"a\","
                                       "side=\"agent\"} ") != std::string::npos);
  cluster.agent("a").kill();
  CHECK(readiness().find("a: its agent does not answer: ") != std::string::npos);
  REQUIRE_MESSAGE(cluster.pgkeel->wait_for([](const auto& now) { return now["condition"] == "degraded"; }),
                  cluster.pgkeel->describe());
  CHECK(cluster.event_with("its agent does not answer") != "");
  CHECK(cluster.pgkeel->status()["route"] == "a");
  Writers writers(cluster.pgkeel->conninfo(), 2);
  REQUIRE(writers.wait_for_more(20));
  cluster.server("a").kill_tree();
  REQUIRE_MESSAGE(writers.wait_for_more(20), cluster.pgkeel->describe());
  writers.stop();
  CHECK_MESSAGE(cluster.event_with("a failed: connection refused") != "", cluster.pgkeel->describe());
  CHECK(cluster.event_with("a failed: the agent says") == "");
  CHECK(cluster.server("b").is_primary());
  // Its host is back, and with it its agent: the node is repaired.
  cluster.agent("a").start();
  REQUIRE_MESSAGE(cluster.pgkeel->wait_normal("b"), cluster.pgkeel->describe());
  cluster.check_roles("b", "a");
}

TEST_CASE("pgkeel and the agent are killed in the middle of a rejoin, and it ends well all the same") {
  // What the standby does not have makes a rewind necessary, and must not keep it from being promoted.
  AgentCluster cluster({}, {"durability = \"async\""});
  cluster.server("b").freeze_tree();
  cluster.server("a").query("CREATE TABLE more AS SELECT generate_series(1, 300000) AS id");
  cluster.server("a").kill_tree();
  cluster.server("b").thaw_tree();
  REQUIRE_MESSAGE(
      wait_until([&] { return cluster.agent("a").log_text().find("rejoin of a: started") != std::string::npos; }),
      cluster.pgkeel->describe());
  cluster.pgkeel->kill();
  cluster.agent("a").kill();
  cluster.pgkeel->start();
  cluster.agent("a").start();
  REQUIRE_MESSAGE(cluster.pgkeel->wait_normal("b"), (cluster.pgkeel->describe() + cluster.agent("a").log_text()));
  cluster.check_roles("b", "a");
}

TEST_CASE("fence_timeout: a primary whose pgkeel is gone is stopped, and the next pgkeel says so and goes on") {
  // The first pgkeel has to be there within it, too.
  const std::string fence_timeout = kSlowdown == 1 ? "3s" : "20s";
  AgentCluster cluster({"fence_timeout = \"" + fence_timeout + "\""});
  cluster.pgkeel->kill();
  REQUIRE(wait_until([&] { return !cluster.server("a").is_running(); }, 30s));
  CHECK(cluster.server("b").is_running());  // a standby takes no writes
  cluster.pgkeel->start();
  REQUIRE_MESSAGE(cluster.pgkeel->wait_for([](const auto& now) { return now["condition"] == "normal"; }),
                  cluster.pgkeel->describe());
  CHECK_MESSAGE(cluster.event_with("no pgkeel was heard for " + fence_timeout + " (fence_timeout)") != "",
                cluster.pgkeel->describe());
}
