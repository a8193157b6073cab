// The primary fails, in every way that it can; clients go on through the same address.
#include <functional>
#include <signal.h>

#include "tests/e2e/cluster_fixture.h"
#include "tests/e2e/route_errors.h"

using namespace pgkeel;
using namespace pgkeel::test;
using namespace std::chrono_literals;

namespace {

// Lets the primary fail under a synchronous workload, and checks what every failover must hold.
void check_failover(Cluster& cluster, const std::string& from, const std::string& to,
                    const std::function<void(PostgresServer&)>& fail) {
  cluster.require_normal(from);
  Writers writers(cluster.pgkeel->conninfo(), 4);
  REQUIRE(writers.wait_for_more(50));
  fail(cluster.server(from));
  REQUIRE_MESSAGE(writers.wait_for_more(50), cluster.pgkeel->describe());
  REQUIRE_MESSAGE(cluster.pgkeel->wait_normal(to), cluster.pgkeel->describe());
  writers.stop();
  CHECK(writers.count_lost(cluster.pgkeel->conninfo()) == 0);
  static_cast<void>(most_route_errors_of_one(writers));
  CHECK_MESSAGE(writers.connect_errors().empty(), writers.connect_errors().front());
  cluster.check_roles(to);
}

}  // namespace

TEST_CASE("crash: the process tree of the primary is killed") {
  Cluster cluster;
  check_failover(cluster, "a", "b", [](PostgresServer& primary) { primary.kill_tree(); });

  // What it was founded on, what it did, and how long each step took.
  const auto record = cluster.pgkeel->decisions("failover").back();
  CAPTURE(record.dump(2));
  CHECK(record["outcome"] == "done");
  REQUIRE_FALSE(record["evidence"].empty());
  CHECK(record["evidence"][0]["node"] == "a");
  CHECK(record["evidence"][0]["liveness"] == "dead");
  CHECK_FALSE(record["evidence"][0]["text"].get<std::string>().empty());
  CHECK(record["evidence"][0]["since"].get<std::string>() <= record["decided"].get<std::string>());
  CHECK(record["candidates"][0]["node"] == "b");
  CHECK(record["candidates"][0]["safe"] == true);
  CHECK(record["fence"].get<std::string>().starts_with("proven stopped"));
  CHECK(record["wal"]["proven_lossless"] == true);
  CHECK(record["clients"]["ended_idle"].get<int>() + record["clients"]["ended_in_transaction"].get<int>() +
            record["clients"]["ended_busy"].get<int>() + record["clients"]["ended_in_commit"].get<int>() ==
        4);
  double before = 0;
  for (const auto& step : record["steps"]) {
    CHECK(step["after_ms"].get<double>() >= before);
    before = step["after_ms"];
  }
  CHECK(record["steps"].back()["step"] == "redundant again");
}

TEST_CASE("hang: the process tree of the primary is stopped") {
  Cluster cluster;
  check_failover(cluster, "a", "b", [](PostgresServer& primary) { primary.freeze_tree(); });
}

TEST_CASE("the postmaster is stopped, fast") {
  Cluster cluster;
  check_failover(cluster, "a", "b", [](PostgresServer& primary) { primary.stop("fast"); });
}

TEST_CASE("the postmaster is stopped, immediately") {
  Cluster cluster;
  check_failover(cluster, "a", "b", [](PostgresServer& primary) { primary.stop("immediate"); });
}

TEST_CASE("only the postmaster is killed, and its backends are not waited for") {
  Cluster cluster;
  check_failover(cluster, "a", "b", [](PostgresServer& primary) { ::kill(primary.processes().front(), SIGKILL); });
}

TEST_CASE("ten failovers to and fro") {
  Cluster cluster;
  for (int round = 0; round < 5; ++round) {
    CAPTURE(round);
    check_failover(cluster, "a", "b", [](PostgresServer& primary) { primary.kill_tree(); });
    check_failover(cluster, "b", "a", [](PostgresServer& primary) { primary.kill_tree(); });
  }
  CHECK(cluster.server("a").value("SELECT timeline_id FROM pg_control_checkpoint()") >= "1");
  CHECK(cluster.pgkeel->status()["epoch"] == 11);
}

TEST_CASE("with two standbys the other one follows the new primary") {
  Cluster cluster({"b", "c"});
  const auto before = cluster.pgkeel->status()["epoch"].get<int>();
  cluster.server("a").kill_tree();
  REQUIRE_MESSAGE(
      cluster.pgkeel->wait_for([&](const auto& now) { return now["epoch"] > before && now["condition"] == "normal"; }),
      cluster.pgkeel->describe());
  const std::string primary = cluster.pgkeel->status()["route"];
  CHECK((primary == "b" || primary == "c"));
  cluster.check_roles(primary);
}

TEST_CASE("the standby with more WAL is promoted, whatever the priorities say") {
  Cluster cluster({"b", "c"});
  // b hangs for a while: of what is written now it misses what does not fit into its socket.
  cluster.server("b").freeze_tree();
  cluster.server("a").query("CREATE TABLE more AS SELECT generate_series(1, 1000000) AS id");
  REQUIRE(cluster.server("a").wait_caught_up("c"));
  cluster.server("a").kill_tree();
  cluster.server("b").thaw_tree();
  REQUIRE_MESSAGE(cluster.pgkeel->wait_normal("c"), cluster.pgkeel->describe());
  CHECK(cluster.server("c").value("SELECT count(*) FROM more") == "1000000");
  cluster.check_roles("c");
}

TEST_CASE("a primary whose nodes pgkeel knows only by address is failed over after two refusals") {
  Cluster cluster({"b"}, {.proxy_lines = {}, .cluster_lines = {}, .detection_lines = {}, .local_nodes = false});
  Writers writers(cluster.pgkeel->conninfo(), 2);
  REQUIRE(writers.wait_for_more(20));
  cluster.server("a").kill_tree();
  REQUIRE_MESSAGE(writers.wait_for_more(20), cluster.pgkeel->describe());
  writers.stop();
  CHECK(writers.count_lost(cluster.pgkeel->conninfo()) == 0);
  CHECK(cluster.server("b").is_primary());
  // It comes back by itself as a primary: fenced weakly by SQL, and never routed to.
  cluster.server("a").start();
  REQUIRE(cluster.pgkeel->wait_for([](const auto& now) {
    for (const auto& action : now["actions"]) {
      if (action["action"] == "fence a" && action["state"] == "done") return true;
    }
    return false;
  }));
  CHECK(cluster.pgkeel->status()["route"] == "b");
  CHECK(cluster.server("a").value("SHOW synchronous_standby_names") == "pgkeel_fenced");
}
