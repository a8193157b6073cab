#include <fstream>

#include <doctest/doctest.h>

#include "health/probe_query.h"
#include "tests/support/postgres_server.h"

using namespace pgkeel;
using namespace pgkeel::test;
using namespace std::chrono_literals;

namespace {

ProbeAnswer ask(const PostgresServer& server, const std::string& role, ProbeRights rights = {}) {
  SqlConnection connection(server.conninfo(role));
  auto answer = parse_probe_answer(connection.value(probe_query_text(rights)));
  REQUIRE(answer.has_value());
  return *answer;
}

// As the probe does it: once to learn the rights, once with them.
NodeFacts facts_of(const PostgresServer& server, const std::string& role = "pgkeel") {
  return ask(server, role, ask(server, role).rights).facts;
}

ServerOptions with(std::vector<std::string> settings) {
  ServerOptions options;
  options.settings = std::move(settings);
  return options;
}

constexpr ProbeRights kAllRights{.read_files = true, .list_wal = true};

}  // namespace

TEST_CASE("one query tells all of a primary and of a standby") {
  const TemporaryFolder folder;
  const auto primary = PostgresServer::primary(folder, "a");
  const auto standby = PostgresServer::standby_of(
      *primary, "b",
      with({"recovery_min_apply_delay = '2min'", "restore_command = 'false'", "recovery_target_time = '2999-01-01'"}));
  primary->append_setting("synchronous_standby_names = 'x'");
  primary->query("SELECT pg_reload_conf()");
  primary->query("SET synchronous_commit = local; CREATE TABLE t (x int)");

  REQUIRE(wait_until([&] {
    const auto now = facts_of(*primary);
    return now.synchronous_standby_names == "x" && now.wal_senders.size() == 1 && now.wal_senders[0].flushed.valid();
  }));
  auto facts = facts_of(*primary);
  CHECK_FALSE(facts.in_recovery);
  CHECK(facts.system_identifier == primary->value("SELECT system_identifier FROM pg_control_system()"));
  CHECK(std::to_string(facts.server_version_number) == primary->value("SHOW server_version_num"));
  CHECK(facts.timeline == 1);
  CHECK(facts.checkpoint_timeline == 1);
  CHECK(facts.timeline_history_known);
  CHECK(facts.timeline_history.empty());
  CHECK(facts.wal_position.valid());
  CHECK(facts.synchronous_standby_names == "x");
  CHECK_FALSE(facts.restore_command_set);
  CHECK_FALSE(facts.recovery_target_set);
  CHECK(facts.limits.size() == std::size(kLimitsOfStandby));
  CHECK(std::to_string(facts.limits["max_connections"]) == primary->value("SHOW max_connections"));
  CHECK_FALSE(facts.wal_receiver_streaming);
  CHECK_FALSE(facts.wal_receiver_silence.has_value());
  CHECK(facts.uptime > 0s);
  CHECK(facts.uptime < 1h);
  REQUIRE(facts.wal_senders.size() == 1);
  CHECK(facts.wal_senders[0].application_name == "b");
  CHECK(facts.wal_senders[0].state == "streaming");
  CHECK(facts.wal_senders[0].sync_state == "async");
  CHECK(facts.wal_senders[0].flushed.valid());
  REQUIRE(facts.slots.size() == 1);
  CHECK(facts.slots[0].name == "pgkeel_b");
  CHECK(facts.slots[0].active_pid == facts.wal_senders[0].pid);
  CHECK(facts.slots[0].restart_lsn.valid());
  CHECK(facts.slots[0].wal_status == "reserved");

  const auto written = facts.wal_position;
  REQUIRE(wait_until([&] { return facts_of(*standby).wal_position >= written; }));
  facts = facts_of(*standby);
  CHECK(facts.in_recovery);
  CHECK(facts.timeline == 1);
  CHECK(facts.replayed.valid());
  CHECK_FALSE(facts.replays_own_wal);
  CHECK_FALSE(facts.replay_paused);
  CHECK(facts.recovery_min_apply_delay == 2min);
  CHECK(facts.restore_command_set);
  CHECK(facts.recovery_target_set);
  CHECK(facts.primary_conninfo.find("application_name") != std::string::npos);
  CHECK(facts.primary_slot_name == "pgkeel_b");
  CHECK(facts.wal_receiver_streaming);
  CHECK(facts.wal_receiver_source.port == primary->port());
  CHECK_FALSE(facts.wal_receiver_source.host.empty());
  REQUIRE(facts.wal_receiver_silence.has_value());
  CHECK(*facts.wal_receiver_silence < 1min);
  CHECK(facts.wal_senders.empty());

  standby->query("SELECT pg_wal_replay_pause()");
  CHECK(wait_until([&] { return facts_of(*standby).replay_paused; }));
}

TEST_CASE("a standby that was started anew says that it replays what it has, until it has come to the end of it") {
  const TemporaryFolder folder;
  const auto primary = PostgresServer::primary(folder, "a");
  const auto standby = PostgresServer::standby_of(*primary, "b");
  REQUIRE(primary->wait_caught_up("b"));
  CHECK_FALSE(facts_of(*primary).replays_own_wal);
  // Received and flushed, but held back from replay; its primary is gone when it starts again.
  primary->query("CREATE TABLE held (id int)");
  REQUIRE(primary->wait_caught_up("b"));
  standby->query("SELECT pg_wal_replay_pause()");
  primary->query("INSERT INTO held SELECT generate_series(1, 10000)");
  const auto end = facts_of(*primary).wal_position;
  REQUIRE(wait_until([&] { return facts_of(*standby).wal_position >= end; }));
  primary->stop("immediate");
  standby->stop("immediate");
  standby->append_setting("recovery_min_apply_delay = '1h'");
  standby->start();
  REQUIRE(wait_until([&] { return facts_of(*standby).replays_own_wal; }));
  CHECK(facts_of(*standby).wal_position < end);
  standby->query("ALTER SYSTEM SET recovery_min_apply_delay = 0");
  standby->query("SELECT pg_reload_conf()");
  REQUIRE(wait_until([&] { return !facts_of(*standby).replays_own_wal; }));
  CHECK(facts_of(*standby).wal_position >= end);
}

TEST_CASE("every role gets an answer, with what it may see") {
  const TemporaryFolder folder;
  const auto primary = PostgresServer::primary(folder, "a");
  const auto standby = PostgresServer::standby_of(*primary, "b");
  primary->query(
      "CREATE ROLE nothing LOGIN; CREATE ROLE monitor LOGIN; GRANT pg_monitor TO monitor;"
      "CREATE ROLE reader LOGIN; GRANT pg_monitor TO reader;"
      "GRANT EXECUTE ON FUNCTION pg_read_file(text, bigint, bigint, boolean) TO reader");
  REQUIRE(primary->wait_caught_up("b"));

  for (const auto* server : {primary.get(), standby.get()}) {
    CHECK(ask(*server, "pgkeel").rights == kAllRights);
    CHECK(ask(*server, "reader").rights == kAllRights);
    CHECK(ask(*server, "monitor").rights == ProbeRights{.read_files = false, .list_wal = true});
    CHECK(ask(*server, "nothing").rights == ProbeRights{});
    for (const char* role : {"nothing", "monitor", "reader"}) {
      const auto facts = facts_of(*server, role);
      CHECK(facts.timeline == 1);
      CHECK(facts.wal_position.valid());
    }
  }
  CHECK(facts_of(*standby, "monitor").wal_receiver_streaming);
  CHECK_FALSE(facts_of(*standby, "monitor").primary_conninfo.empty());
  CHECK_FALSE(facts_of(*standby, "nothing").wal_receiver_streaming);
  CHECK(facts_of(*standby, "nothing").primary_conninfo.empty());
  CHECK(facts_of(*standby, "nothing").primary_slot_name == "pgkeel_b");
  REQUIRE(facts_of(*primary, "monitor").wal_senders.size() == 1);
  CHECK(facts_of(*primary, "monitor").wal_senders[0].application_name == "b");

  // A right that is gone is an error that the probe can tell from others.
  try {
    ask(*primary, "nothing", kAllRights);
    FAIL("no error");
  } catch (const pgkeel::test::SqlError& error) {
    CHECK(error.sqlstate == "42501");
  }

  // On the second timeline there is a history, for those who may read it.
  const auto forked_at = parse_lsn(standby->value("SELECT pg_last_wal_replay_lsn()"));
  primary->stop("immediate");
  standby->query("SELECT pg_promote()");
  for (const char* role : {"pgkeel", "reader"}) {
    const auto facts = facts_of(*standby, role);
    CHECK_FALSE(facts.in_recovery);
    CHECK(facts.timeline == 2);
    CHECK(facts.timeline_history_known);
    REQUIRE(facts.timeline_history.size() == 1);
    CHECK(facts.timeline_history[0].timeline == 1);
    CHECK(facts.timeline_history[0].end >= *forked_at);
  }
  CHECK(facts_of(*standby, "monitor").timeline == 2);
  CHECK_FALSE(facts_of(*standby, "monitor").timeline_history_known);
}

TEST_CASE("a standby still knows its newest timeline after its upstream has died") {
  const TemporaryFolder folder;
  const auto first = PostgresServer::primary(folder, "a");
  const auto second = PostgresServer::standby_of(*first, "b");
  REQUIRE(first->wait_caught_up("b"));
  first->stop("fast");
  second->query("SELECT pg_promote()");
  const auto third = PostgresServer::standby_of(*second, "c");
  REQUIRE(second->wait_streams("c"));
  CHECK(facts_of(*third).timeline == 2);
  second->kill_tree();
  REQUIRE(wait_until([&] { return !facts_of(*third).wal_receiver_silence.has_value(); }));
  const auto facts = facts_of(*third);
  CHECK(facts.timeline == 2);
  CHECK(facts.timeline_history_known);
  CHECK(facts.timeline_history.size() == 1);
}

TEST_CASE("segments that pg_rewind left of another timeline, without its history, do not count") {
  const TemporaryFolder folder;
  const auto first = PostgresServer::primary(folder, "a");
  const auto second = PostgresServer::standby_of(*first, "b");
  REQUIRE(first->wait_caught_up("b"));
  const std::string wal = second->data_directory() + "/pg_wal/";
  std::ofstream(wal + "000000020000000000000003") << "left";
  first->stop("fast");
  REQUIRE(wait_until([&] { return !facts_of(*second).wal_receiver_silence.has_value(); }));
  CHECK(facts_of(*second).timeline == 1);
  std::ofstream(wal + "00000002.history") << "1\t0/3000000\tno recovery target specified\n";
  CHECK(facts_of(*second).timeline == 2);
}
