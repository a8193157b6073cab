// Nodes and clusters that come and go with a reload, on real servers.
#include "tests/e2e/cluster_fixture.h"
#include "tests/e2e/config_file.h"
#include "tests/support/sql_connection.h"

using namespace pgkeel;
using namespace pgkeel::test;
using namespace std::chrono_literals;
using Json = nlohmann::json;

TEST_CASE("nodes come and go, each with its slot and its place in synchronous_standby_names") {
  Cluster cluster({"b", "c"});
  const auto& pgkeel = *cluster.pgkeel;
  const ConfigFile file(pgkeel);
  auto& primary = cluster.server("a");
  Writers writers(pgkeel.conninfo(), 2);
  const auto counts_on = [&](const std::string& node) {
    return primary.value("SHOW synchronous_standby_names").find('"' + node + '"') != std::string::npos;
  };

  // c streams on, and keeps its slot in use.
  REQUIRE(wait_until([&] { return counts_on("b") && counts_on("c"); }));
  file.write(file.without_node("c"));
  CHECK(reload(pgkeel)["notes"].size() == 1);
  REQUIRE(wait_until([&] { return !counts_on("c"); }));

  const auto looked_at = pgkeel.status()["readiness"];
  file.write(file.original());
  CHECK(reload(pgkeel)["changes"][0]["key"] == "cluster.test.node.c");
  // It never left the promise, where it is back before the primary was seen to do without it.
  REQUIRE(wait_until([&] { return counts_on("c"); }));
  REQUIRE_MESSAGE(pgkeel.wait_for([](const auto& now) {
    return (*find_node(now, "c"))["safe"] == true && now["condition"] == "normal";
  }),
                  pgkeel.describe());
  // Whether a failover would work was asked anew.
  CHECK(pgkeel.wait_for([&](const auto& now) { return now["readiness"] != looked_at; }));

  // A server of another cluster is neither followed nor touched.
  ServerOptions foreign_options;
  foreign_options.own_system_identifier = true;
  auto foreign = PostgresServer::primary(cluster.folder, "d", foreign_options);
  foreign->query("CREATE TABLE mine AS SELECT 1 AS one");
  file.write(file.original() + table_of(*foreign));
  reload(pgkeel);
  REQUIRE(pgkeel.wait_for([](const auto& now) {
    const Json* node = find_node(now, "d");
    return node != nullptr && (*node)["role"] == "primary" && !(*node)["note"].is_null();
  }));
  CHECK(pgkeel.status()["route"] == "a");
  CHECK(foreign->value("SELECT one FROM mine") == "1");
  CHECK(foreign->is_primary());

  // b and d go; b runs on for a while.
  file.write(file.without_node("b"));
  CHECK(reload(pgkeel)["notes"].size() == 2);
  REQUIRE(wait_until([&] { return !counts_on("b") && counts_on("c"); }));
  CHECK(find_node(pgkeel.status(), "b") == nullptr);
  cluster.server("b").stop();
  CHECK(wait_until(
      [&] { return primary.value("SELECT count(*) FROM pg_replication_slots WHERE slot_name = 'pgkeel_b'") == "0"; }));
  cluster.require_normal("a");
  REQUIRE(writers.wait_for_more(20));

  // What is left works. Until c alone is counted on, an order is refused.
  REQUIRE(wait_until([&] { return pgkeel.run_verb({"switchover", "test", "--to", "c", "--yes"}).exit_status == 0; }));
  CHECK(pgkeel.status()["route"] == "c");
  REQUIRE(writers.wait_for_more(20));
  writers.stop();
  CHECK(writers.count_lost(cluster.server("c").conninfo()) == 0);
}

TEST_CASE("a cluster that is removed ends its clients with 57P01, and comes back as what it was") {
  PgkeelOptions options;
  TemporaryFolder folder;
  auto one = PostgresServer::primary(folder, "a");
  auto two = PostgresServer::primary(folder, "z");
  options.more_clusters = {{"other", {two.get()}}};
  PgkeelProcess pgkeel(folder, {one.get()}, options);
  pgkeel.start();
  REQUIRE(pgkeel.wait_for([](const auto& now) { return now["route"] == "a"; }));
  REQUIRE(wait_until([&] { return pgkeel.status("other")["route"] == "z"; }));
  const Json before = pgkeel.status("other");
  const ConfigFile file(pgkeel);
  const std::string address =
      "host=127.0.0.1 user=postgres dbname=postgres port=" + std::to_string(pgkeel.port("other"));
  SqlConnection stays(pgkeel.conninfo());
  SqlConnection ends(address);
  file.write(file.original().substr(0, file.original().find("[cluster.other]")));
  CHECK(reload(pgkeel)["notes"].size() == 1);
  try {
    ends.query("SELECT 1");
    FAIL("the session goes on");
  } catch (const SqlError& error) {
    CHECK((error.sqlstate == "57P01" || error.notice_sqlstate == "57P01"));
  }
  CHECK_THROWS_AS(SqlConnection{address}, SqlError);
  CHECK(stays.value("SELECT 1") == "1");
  CHECK(pgkeel.status("other").is_null());

  file.write(file.original());
  reload(pgkeel);
  REQUIRE(wait_until([&] { return pgkeel.status("other").value("route", Json()) == "z"; }));
  CHECK(pgkeel.status("other")["epoch"] == before["epoch"]);
  CHECK(SqlConnection(address).value("SELECT 1") == "1");
  CHECK(stays.value("SELECT 2") == "2");
}
