// Synchronous replication as pgkeel manages it, on real servers: what commits wait for, and what is promised of it.
#include <csignal>
#include <string>

#include <doctest/doctest.h>

#include "tests/e2e/cluster_fixture.h"
#include "tests/support/sql_connection.h"
#include "tests/support/wait_until.h"

using namespace pgkeel;
using namespace pgkeel::test;
using namespace std::chrono_literals;

namespace {

bool is_safe(const nlohmann::json& status, const std::string& node) {
  for (const auto& entry : status["nodes"]) {
    if (entry["name"] == node) return entry["safe"] == true;
  }
  return false;
}

PgkeelOptions with_durability(const std::string& durability, bool local_nodes = true) {
  PgkeelOptions options;
  options.cluster_lines = {"durability = \"" + durability + "\""};
  options.local_nodes = local_nodes;
  return options;
}

// One of a server's processes, which does nothing for a while.
class StoppedProcess {
 public:
  explicit StoppedProcess(pid_t pid) : pid_(pid) { ::kill(pid_, SIGSTOP); }
  ~StoppedProcess() { go_on(); }
  StoppedProcess(const StoppedProcess&) = delete;
  StoppedProcess& operator=(const StoppedProcess&) = delete;

  void go_on() const { ::kill(pid_, SIGCONT); }

 private:
  const pid_t pid_;
};

std::string standby_names(const Cluster& cluster, const std::string& node) {
  return cluster.server(node).value("SHOW synchronous_standby_names");
}

}  // namespace

TEST_CASE("available: commits wait for the standby while there is one, and go on without it when it stops") {
  Cluster cluster({"b"}, with_durability("available"));
  CHECK(standby_names(cluster, "a") == "ANY 1 (\"b\")");
  CHECK(is_safe(cluster.pgkeel->status(), "b"));
  Writers writers(cluster.pgkeel->conninfo(), 2);
  REQUIRE(writers.wait_for_more(20));

  SUBCASE("it crashes") {
    cluster.server("b").kill_tree();
  }
  SUBCASE("it hangs") {
    cluster.server("b").freeze_tree();
  }
  REQUIRE_MESSAGE(writers.wait_for_more(20), cluster.pgkeel->describe());
  REQUIRE(cluster.pgkeel->wait_for([](const auto& now) { return !is_safe(now, "b"); }));
  CHECK(standby_names(cluster, "a").empty());
  cluster.server("b").thaw_tree();
  REQUIRE_MESSAGE(cluster.pgkeel->wait_normal("a"), cluster.pgkeel->describe());
  CHECK(standby_names(cluster, "a") == "ANY 1 (\"b\")");
  writers.stop();
  CHECK(writers.count_lost(cluster.pgkeel->conninfo()) == 0);
}

TEST_CASE("available: a standby that is not safe is not promoted, and the crashed primary is started again") {
  Cluster cluster({"b"}, with_durability("available", true));
  cluster.server("b").freeze_tree();
  Writers writers(cluster.pgkeel->conninfo(), 2);
  REQUIRE(cluster.pgkeel->wait_for([](const auto& now) { return !is_safe(now, "b"); }));
  REQUIRE(writers.wait_for_more(20));
  cluster.server("a").kill_tree();
  cluster.server("b").thaw_tree();
  REQUIRE_MESSAGE(cluster.pgkeel->wait_normal("a"), cluster.pgkeel->describe());
  writers.stop();
  CHECK(writers.count_lost(cluster.pgkeel->conninfo()) == 0);
  CHECK_FALSE(cluster.server("b").is_primary());
}

TEST_CASE("available: a standby whose replay is paused holds the commits, and is promoted with all of them") {
  Cluster cluster({"b"}, with_durability("available"));
  cluster.server("b").query("SELECT pg_wal_replay_pause()");
  Writers writers(cluster.pgkeel->conninfo(), 2);
  REQUIRE(writers.wait_for_more(20));
  REQUIRE_MESSAGE(cluster.pgkeel->wait_for([](const auto& now) {
    return is_safe(now, "b") && now["nodes"][1]["note"] == "standby, streaming, replay paused, safe";
  }),
                  cluster.pgkeel->describe());
  REQUIRE(writers.wait_for_more(20));
  cluster.server("a").kill_tree();
  REQUIRE_MESSAGE(writers.wait_for_more(20), cluster.pgkeel->describe());
  writers.stop();
  CHECK(cluster.server("b").is_primary());
  CHECK(writers.count_lost(cluster.pgkeel->conninfo()) == 0);
}

TEST_CASE("available: commits with remote_apply do without a standby whose replay is paused, until it goes on") {
  Cluster cluster({"b"}, with_durability("available"));
  cluster.server("a").query("CREATE TABLE applied (x int)");
  REQUIRE(cluster.server("a").wait_caught_up("b"));
  cluster.server("b").query("SELECT pg_wal_replay_pause()");
  SqlConnection client(cluster.pgkeel->conninfo());
  client.query("SET synchronous_commit = remote_apply");
  // It hangs until b, which has flushed it, is no longer waited for; and is no promise of b's any more.
  client.query("INSERT INTO applied VALUES (1)");
  CHECK(standby_names(cluster, "a").empty());
  CHECK(cluster.pgkeel->wait_for([](const auto& now) {
    return !is_safe(now, "b") &&
           now["nodes"][1]["note"].template get<std::string>().find("remote_apply") != std::string::npos;
  }));
  client.query("INSERT INTO applied VALUES (2)");
  // So b is not promoted: the primary is started again, with both.
  cluster.server("a").kill_tree();
  CHECK_MESSAGE(wait_until([&] { return cluster.server("a").is_running(); }), cluster.pgkeel->describe());
  cluster.server("b").query("SELECT pg_wal_replay_resume()");
  cluster.require_normal("a");
  CHECK(is_safe(cluster.pgkeel->status(), "b"));
  CHECK(SqlConnection(cluster.pgkeel->conninfo()).value("SELECT count(*) FROM applied") == "2");

  // Safe again, it is: what waits until it is replayed there is there when it takes over.
  SqlConnection again(cluster.pgkeel->conninfo());
  again.query("SET synchronous_commit = remote_apply");
  again.query("INSERT INTO applied VALUES (3)");
  CHECK(cluster.server("b").value("SELECT count(*) FROM applied") == "3");
  cluster.server("a").kill_tree();
  cluster.require_normal("b");
  CHECK(SqlConnection(cluster.pgkeel->conninfo()).value("SELECT count(*) FROM applied") == "3");
}

TEST_CASE("strict: commits wait as long as no standby is there, and go on when it is back") {
  Cluster cluster({"b"}, with_durability("strict"));
  Writers writers(cluster.pgkeel->conninfo(), 2);
  REQUIRE(writers.wait_for_more(20));
  cluster.server("b").freeze_tree();
  const bool waits = wait_until([&] {
    return cluster.server("a").value("SELECT count(*) > 0 FROM pg_stat_activity WHERE wait_event = 'SyncRep'") == "t";
  });
  CHECK(waits);
  CHECK(standby_names(cluster, "a") == "ANY 1 (\"b\")");
  cluster.server("b").thaw_tree();
  CHECK_MESSAGE(writers.wait_for_more(20), cluster.pgkeel->describe());
  writers.stop();
  CHECK(writers.count_lost(cluster.pgkeel->conninfo()) == 0);
}

TEST_CASE("strict: a new primary waits for the other nodes before it is promoted") {
  Cluster cluster({"b", "c"}, with_durability("strict"));
  Writers writers(cluster.pgkeel->conninfo(), 2);
  REQUIRE(writers.wait_for_more(20));
  cluster.server("a").kill_tree();
  REQUIRE_MESSAGE(writers.wait_for_more(20), cluster.pgkeel->describe());
  REQUIRE_MESSAGE(cluster.pgkeel->wait_normal(), cluster.pgkeel->describe());
  const auto primary = cluster.pgkeel->status()["route"].get<std::string>();
  // One that was left out for a moment is taken back once it is safe.
  CHECK_MESSAGE(wait_until([&] { return standby_names(cluster, primary).starts_with("ANY 1 (\"a\", "); }),
                standby_names(cluster, primary), cluster.pgkeel->describe());
  writers.stop();
  CHECK(writers.count_lost(cluster.pgkeel->conninfo()) == 0);
  cluster.check_roles(primary);
}

TEST_CASE("strict: a new primary takes no clients while its checkpointer has not read what commits wait for") {
  PgkeelOptions options = with_durability("strict");
  options.cluster_lines.push_back("auto_rejoin = false");
  Cluster cluster({"b"}, options);
  Writers writers(cluster.pgkeel->conninfo(), 2);
  REQUIRE(writers.wait_for_more(20));
  const auto commits_that_wait = [&cluster] {
    return std::stoi(
        cluster.server("b").value("SELECT count(*) FROM pg_stat_activity WHERE wait_event = 'SyncRep' AND query LIKE "
                                  "'INSERT%'"));
  };
  const StoppedProcess checkpointer(
      std::stoi(cluster.server("b").value("SELECT pid FROM pg_stat_activity WHERE backend_type = 'checkpointer'")));
  cluster.server("a").kill_tree();
  // It is promoted, and pgkeel waits for the checkpoint that would make it read the setting.
  REQUIRE_MESSAGE(
      wait_until([&] {
        return cluster.server("b").value(
                   "SELECT count(*) FROM pg_stat_activity WHERE query = 'CHECKPOINT' AND state = 'active'") == "1";
      }),
      cluster.pgkeel->describe());
  CHECK(cluster.server("b").is_primary());
  CHECK(cluster.pgkeel->status()["route"].is_null());
  CHECK(cluster.pgkeel->wait_for([](const auto& status) {
    return status["summary"].template get<std::string>().find("opened when its commits are seen to wait") !=
           std::string::npos;
  }));
  const std::size_t acknowledged_by_a = writers.acknowledged();
  checkpointer.go_on();
  // Each writer's first commit on it waits, for nobody can acknowledge it.
  REQUIRE_MESSAGE(wait_until([&] { return commits_that_wait() == 2; }), cluster.pgkeel->describe());
  CHECK(writers.acknowledged() == acknowledged_by_a);
  const auto rejoined = cluster.pgkeel->run_verb({"rejoin", "test", "a"});
  REQUIRE_MESSAGE(rejoined.exit_status == 0, rejoined.error_output);
  REQUIRE_MESSAGE(writers.wait_for_more(20), cluster.pgkeel->describe());
  writers.stop();
  CHECK(wait_until([&] { return writers.count_lost(cluster.server("a").conninfo()) == 0; }));
  CHECK(writers.count_lost(cluster.pgkeel->conninfo()) == 0);
}

TEST_CASE(
    "three nodes known by address: the standbys are cut off the silent primary before their positions are compared") {
  Cluster cluster({"b", "c"}, with_durability("available", false));
  CHECK(standby_names(cluster, "a") == "ANY 1 (\"b\", \"c\")");
  Writers writers(cluster.pgkeel->conninfo(), 2);
  REQUIRE(writers.wait_for_more(20));
  cluster.server("a").freeze_tree();
  REQUIRE_MESSAGE(writers.wait_for_more(20), cluster.pgkeel->describe());
  writers.stop();
  CHECK(writers.count_lost(cluster.pgkeel->conninfo()) == 0);
  const auto primary = cluster.pgkeel->status()["route"].get<std::string>();
  const std::string other = primary == "b" ? "c" : "b";
  // It follows the new primary, and is safe again.
  CHECK_MESSAGE(cluster.pgkeel->wait_for([&](const auto& now) { return is_safe(now, other); }),
                cluster.pgkeel->describe());
  cluster.server("a").thaw_tree();
}

TEST_CASE("a setting that somebody else changes is set again, and nothing is promised meanwhile") {
  Cluster cluster({"b"}, with_durability("available"));
  cluster.server("a").query("ALTER SYSTEM SET synchronous_standby_names = ''");
  cluster.server("a").query("SELECT pg_reload_conf()");
  REQUIRE(cluster.pgkeel->wait_for([](const auto& now) { return !is_safe(now, "b"); }));
  REQUIRE_MESSAGE(cluster.pgkeel->wait_normal("a"), cluster.pgkeel->describe());
  CHECK(standby_names(cluster, "a") == "ANY 1 (\"b\")");
}

TEST_CASE("async: the setting is the operator's own") {
  Cluster cluster({"b"}, with_durability("async"));
  CHECK(standby_names(cluster, "a").empty());
  cluster.server("a").query("ALTER SYSTEM SET synchronous_standby_names = 'b'");
  cluster.server("a").query("SELECT pg_reload_conf()");
  const auto epoch = cluster.pgkeel->status()["epoch"];
  REQUIRE_MESSAGE(cluster.pgkeel->wait_normal("a"), cluster.pgkeel->describe());
  CHECK(standby_names(cluster, "a") == "b");
  CHECK(cluster.pgkeel->status()["epoch"] == epoch);
}
