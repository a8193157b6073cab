// Slots on every node that may become primary keep the WAL that the others will need from it.
#include <fstream>
#include <iterator>
#include <stdexcept>

#include "tests/e2e/cluster_fixture.h"

using namespace pgkeel;
using namespace pgkeel::test;
using namespace std::chrono_literals;

namespace {

// Without it, what is asked for here would be there anyway.
void keep_wal_for_slots_only(const Cluster& cluster) {
  for (const auto& server : cluster.servers) {
    server->query("ALTER SYSTEM SET wal_keep_size = 0");
    server->query("SELECT pg_reload_conf()");
  }
}

std::string slots_of(const PostgresServer& server) {
  return server.value("SELECT string_agg(slot_name, ',' ORDER BY slot_name) FROM pg_replication_slots");
}

bool wait_for_slots(const PostgresServer& server, const std::string& names) {
  return wait_until([&] { return slots_of(server) == names; });
}

// A few segments, none of which is kept but for a slot.
void write_and_recycle(const PostgresServer& primary) {
  for (int round = 0; round < 3; ++round) {
    primary.query("SELECT pg_logical_emit_message(false, 'filler', repeat('x', 20000000))");
    primary.query("SELECT pg_switch_wal()");
    primary.query("CHECKPOINT");
  }
}

void change_configuration(const PgkeelProcess& pgkeel, const std::string& from, const std::string& to) {
  std::ifstream file(pgkeel.config_file());
  std::string text{std::istreambuf_iterator<char>(file), {}};
  const auto found = text.find(from);
  REQUIRE(found != std::string::npos);
  std::ofstream(pgkeel.config_file()) << text.replace(found, from.size(), to);
}

std::string outcome_of_rejoin(const PgkeelProcess& pgkeel, const std::string& node) {
  for (const auto& event : pgkeel.events()) {
    const auto text = event["text"].get<std::string>();
    if (text.starts_with("rejoin " + node + ": done")) return text;
  }
  return "no rejoin of " + node;
}

}  // namespace

TEST_CASE("after a failover a standby that was down, and the old primary, find the WAL that they need") {
  Cluster cluster({"b", "c"}, {.proxy_lines = {}, .cluster_lines = {"auto_rejoin = false"}, .detection_lines = {}});
  keep_wal_for_slots_only(cluster);
  auto& a = cluster.server("a");
  auto& b = cluster.server("b");
  auto& c = cluster.server("c");
  REQUIRE(wait_for_slots(a, "pgkeel_b,pgkeel_c"));
  REQUIRE(wait_for_slots(b, "pgkeel_a,pgkeel_c"));
  REQUIRE(wait_for_slots(c, "pgkeel_a,pgkeel_b"));

  c.stop("fast");
  write_and_recycle(a);
  REQUIRE(b.value("SELECT 1") == "1");
  REQUIRE(a.wait_caught_up("b", 60s));
  b.query("CHECKPOINT");
  // b moves the slot of the primary on with its own checkpoints, and that of c only as far as c has come.
  REQUIRE(wait_until([&] {
    return b.value(
               "SELECT (SELECT restart_lsn FROM pg_replication_slots WHERE slot_name = 'pgkeel_a') = redo_lsn AND "
               "(SELECT restart_lsn FROM pg_replication_slots WHERE slot_name = 'pgkeel_c') < redo_lsn "
               "FROM pg_control_checkpoint()") == "t";
  }));

  a.kill_tree();
  REQUIRE_MESSAGE(cluster.pgkeel->wait_for([](const auto& now) { return now["route"] == "b"; }),
                  cluster.pgkeel->describe());
  write_and_recycle(b);
  c.start();
  REQUIRE_MESSAGE(b.wait_streams("c"), cluster.pgkeel->describe());
  REQUIRE(b.wait_caught_up("c"));

  cluster.pgkeel->terminate();
  change_configuration(*cluster.pgkeel, "auto_rejoin = false", "auto_rejoin = true");
  cluster.pgkeel->start();
  REQUIRE_MESSAGE(cluster.pgkeel->wait_normal("b"), cluster.pgkeel->describe());
  cluster.check_roles("b");
  const std::string outcome = outcome_of_rejoin(*cluster.pgkeel, "a");
  CAPTURE(outcome);
  CHECK((outcome.find("by start") != std::string::npos || outcome.find("by rewind") != std::string::npos));
  CHECK(wait_for_slots(a, "pgkeel_b,pgkeel_c"));
}

TEST_CASE("slots of ours for nodes that are not configured are dropped, others stay") {
  Cluster cluster;
  for (const char* name : {"b", "a"}) {  // on the standby first: there it is nobody's copy
    cluster.server(name).query("SELECT pg_create_physical_replication_slot('pgkeel_removed', true)");
    cluster.server(name).query("SELECT pg_create_physical_replication_slot('barman', true)");
  }
  CHECK(wait_for_slots(cluster.server("a"), "barman,pgkeel_b"));
  CHECK(wait_for_slots(cluster.server("b"), "barman,pgkeel_a"));
}

TEST_CASE("a standby that runs, and whose WAL the primary gave up, is rebuilt") {
  Cluster cluster;
  keep_wal_for_slots_only(cluster);
  auto& a = cluster.server("a");
  auto& b = cluster.server("b");
  b.stop("fast");
  a.query("ALTER SYSTEM SET max_slot_wal_keep_size = '1MB'");
  a.query("SELECT pg_reload_conf()");
  write_and_recycle(a);
  REQUIRE(a.value("SELECT wal_status FROM pg_replication_slots WHERE slot_name = 'pgkeel_b'") == "lost");
  a.query("ALTER SYSTEM RESET max_slot_wal_keep_size");
  a.query("SELECT pg_reload_conf()");
  try {
    b.start();
  } catch (const std::runtime_error&) {
    // pgkeel may have ended it to rebuild it before pg_ctl saw that it was up.
  }
  const auto is_rebuilt = [&] {
    return outcome_of_rejoin(*cluster.pgkeel, "b").find("by basebackup") != std::string::npos;
  };
  REQUIRE_MESSAGE(wait_until(is_rebuilt, 60s), cluster.pgkeel->describe());
  REQUIRE_MESSAGE(cluster.pgkeel->wait_normal("a"), cluster.pgkeel->describe());
  cluster.check_roles("a");
}
