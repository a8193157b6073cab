#include "replication/readiness/facts_query.h"

#include <doctest/doctest.h>

using namespace pgkeel;

namespace {

ClusterConfig cluster() {
  ClusterConfig config;
  config.replication.user = "it's";
  return config;
}

bool contains(const std::string& text, const std::string& part) {
  return text.find(part) != std::string::npos;
}

}  // namespace

TEST_CASE("the text names only what the version has and the role may call") {
  const auto least = facts_query_text({.version_number = 130000}, cluster());
  CHECK_FALSE(contains(least, "has_parameter_privilege"));
  CHECK_FALSE(contains(least, "pg_checkpoint'"));
  CHECK_FALSE(contains(least, "FROM pg_hba_file_rules"));
  CHECK_FALSE(contains(least, "FROM pg_ls_waldir"));
  CHECK_FALSE(contains(least, "'failover'"));
  CHECK_FALSE(contains(least, "$"));
  const auto most =
      facts_query_text({.version_number = 170000, .read_hba = true, .list_wal = true, .stat_files = true}, cluster());
  for (const char* part :
       {"has_parameter_privilege", "'pg_checkpoint'", "rule_number", "FROM pg_ls_waldir", "'failover'"})
    CHECK(contains(most, part));
  CHECK_FALSE(contains(most, "$"));
}

TEST_CASE("names from the configuration are quoted") {
  CHECK(contains(facts_query_text({.version_number = 150000}, cluster()), "rolname = 'it''s'"));
}

TEST_CASE("an answer is read back into facts") {
  const auto facts = parse_server_facts(
      R"json({"version":"150020","system_identifier":"7","in_recovery":true,"timeline":3,"clock_ms":1500.5,
      "asked_from":"10.0.0.9","settings":{"max_connections":{"value":"100","unit":null,"pending":true}},
      "all_settings":true,"synchronous_commit":[{"role":"batch","database":null,"value":"off"}],
      "slots":[{"name":"s","type":"logical","database":"d","plugin":"p","active_pid":null,"wal_status":"lost",
                "retained":null},{"name":"pgkeel_b","type":"physical","active_pid":7,"restart":"0/5",
                "retained":16777216}],
      "senders":[{"name":"b","pid":7,"state":"streaming","address":"10.0.0.2"}],
      "receiver":{"host":"10.0.0.1","port":54321},"replay_paused":true,"archiver":{"file":"0001","fails":true},
      "wal_bytes":1000,"hba":[{"line":4,"type":"host","databases":["all"],"users":["all"],"address":"all",
                               "netmask":null,"method":"trust","error":null}],
      "rights":{"superuser":false,"replication":true,"roles":["pg_monitor"],"functions":null,"parameters":["x"]},
      "replication_role":{"login":true,"replication":true,"superuser":false,"expired":false,"functions":["f"],
                          "connect":true}})json");
  REQUIRE(facts.has_value());
  CHECK(facts->in_recovery);
  CHECK(facts->timeline == 3);
  CHECK(facts->clock_ms == 1500.5);
  CHECK(facts->settings.at("max_connections").value == "100");
  CHECK(facts->settings.at("max_connections").pending_restart);
  REQUIRE(facts->synchronous_commit.size() == 1);
  CHECK(facts->synchronous_commit[0].role == "batch");
  CHECK(facts->synchronous_commit[0].database.empty());
  REQUIRE(facts->slots.size() == 2);
  CHECK(facts->slots[0].logical);
  CHECK_FALSE(facts->slots[0].active_pid.has_value());
  CHECK(facts->slots[1].active_pid == 7);
  CHECK(facts->slots[1].restart_lsn == Lsn{5});
  CHECK(facts->slots[1].retained_bytes == 16777216);
  CHECK(facts->senders[0].client_address == "10.0.0.2");
  CHECK(facts->upstream_port == 54321);
  CHECK(facts->replay_paused);
  CHECK(facts->archiver_fails);
  REQUIRE(facts->hba.has_value());
  CHECK(facts->hba->front().method == "trust");
  CHECK(facts->rights.missing_roles == std::vector<std::string>{"pg_monitor"});
  CHECK(facts->rights.missing_parameters == std::vector<std::string>{"x"});
  REQUIRE(facts->replication_role.has_value());
  CHECK(facts->replication_role->missing_functions == std::vector<std::string>{"f"});
}

TEST_CASE("the logical slots and settings of PostgreSQL 17 are read back, those of a standby too") {
  const auto standby = parse_server_facts(
      R"json({"version":"170004","system_identifier":"7","in_recovery":true,"timeline":2,
      "settings":{"sync_replication_slots":{"value":"on"},"synchronized_standby_slots":{"value":"pgkeel_a, pgkeel_c"}},
      "slots":[{"name":"orders","type":"logical","database":"d","plugin":"pgoutput","wal_status":"reserved",
                "failover":true,"synced":true},
               {"name":"orders_2","type":"logical","database":"d","plugin":"pgoutput","failover":true,"synced":false},
               {"name":"plain","type":"logical","database":"d","plugin":"pgoutput","failover":false,"synced":false}]})json");
  REQUIRE(standby.has_value());
  CHECK(standby->version_number == 170004);
  CHECK(standby->settings.at("synchronized_standby_slots").value == "pgkeel_a, pgkeel_c");
  REQUIRE(standby->slots.size() == 3);
  CHECK(standby->slots[0].failover);
  CHECK(standby->slots[0].synced);
  CHECK(standby->slots[1].failover);
  CHECK_FALSE(standby->slots[1].synced);
  CHECK_FALSE(standby->slots[2].failover);
  // What a later version adds, or says in another way, is no failover slot.
  const auto odd = parse_server_facts(
      R"json({"version":"190000","system_identifier":"7","in_recovery":true,"timeline":2,
      "slots":[{"name":"s","type":"logical","failover":"yes","synced":null,"two_phase_at":"0/1"}]})json");
  REQUIRE(odd.has_value());
  REQUIRE(odd->slots.size() == 1);
  CHECK_FALSE(odd->slots[0].failover);
}

TEST_CASE("what a server answers is taken for what it is worth") {
  for (const char* text : {"", "null", "[]", "{", "\xff", R"({"version":150020})", R"({"version":"x"})",
                           R"({"version":"150020","system_identifier":"","in_recovery":false})"}) {
    CAPTURE(text);
    CHECK_FALSE(parse_server_facts(text).has_value());
    CHECK_FALSE(parse_rights(R"({"version":[]})").has_value());
  }
  const auto odd = parse_server_facts(
      R"json({"version":"150020","system_identifier":"7","in_recovery":false,"settings":[1],"slots":{"a":1},"hba":"x",
      "senders":7,"wal_bytes":-1,"receiver":{"port":1e99},"rights":[],"replication_role":null,"clock_ms":"soon"})json");
  REQUIRE(odd.has_value());
  CHECK(odd->settings.empty());
  CHECK_FALSE(odd->hba.has_value());
  CHECK_FALSE(odd->wal_bytes.has_value());
  CHECK(odd->upstream_port == 0);
  CHECK_FALSE(odd->replication_role.has_value());
}

TEST_CASE("settings are numbers in bytes and milliseconds") {
  NodeReadinessFacts node;
  node.server.emplace();
  node.server->settings = {{"size", {"2", "MB", false}},    {"blocks", {"3", "8kB", false}},
                           {"time", {"5", "min", false}},   {"off", {"-1", "MB", false}},
                           {"count", {"7", "", false}},     {"word", {"on", "", false}},
                           {"odd", {"1", "fathoms", false}}};
  CHECK(node.number("size") == 2 << 20);
  CHECK(node.number("blocks") == 3 * 8192);
  CHECK(node.number("time") == 300'000);
  CHECK(node.number("off") == -1);
  CHECK(node.number("count") == 7);
  CHECK_FALSE(node.number("word").has_value());
  CHECK_FALSE(node.number("odd").has_value());
  CHECK_FALSE(node.number("not there").has_value());
}
