// pgkeel leaves a cluster: what it set up in the servers is gone, and the servers go on without it.
#include <thread>

#include "tests/e2e/agent_fixture.h"
#include "tests/e2e/cluster_fixture.h"
#include "tests/e2e/route_errors.h"
#include "tests/support/sql_connection.h"

using namespace pgkeel;
using namespace pgkeel::test;
using namespace std::chrono_literals;

namespace {

// What pgkeel sets by ALTER SYSTEM, as far as it is in force, and its slots.
std::string left_on(const PostgresServer& server) {
  return server.value(
      "SELECT concat_ws(' ', string_agg(name || '=' || setting, ' '), "
      "(SELECT string_agg(slot_name, ' ') FROM pg_replication_slots WHERE slot_name LIKE 'pgkeel\\_%')) "
      "FROM pg_file_settings WHERE sourcefile LIKE '%postgresql.auto.conf' AND name IN "
      "('synchronous_standby_names', 'primary_slot_name'" +
      std::string(server.is_primary() ? ", 'primary_conninfo')" : ")"));
}

template <class AnyCluster>
void check_left(const AnyCluster& cluster) {
  const PostgresServer& primary = cluster.server("a");
  CHECK(left_on(primary) == "");
  CHECK(left_on(cluster.server("b")) == "");
  CHECK(primary.value("SHOW synchronous_standby_names") == "");
  // Commits wait for nobody, and the standby goes on.
  CHECK(primary.value("INSERT INTO kept VALUES (2) RETURNING id") == "2");
  CHECK(primary.wait_caught_up("b"));
  CHECK(primary.value("SELECT count(*) FROM pg_stat_replication WHERE application_name = 'b'") == "1");
  CHECK(primary.is_primary());
  CHECK_FALSE(cluster.server("b").is_primary());
}

std::string refused_with(const std::string& conninfo) {
  try {
    SqlConnection connection(conninfo);
  } catch (const SqlError& error) {
    return error.what();
  }
  return "";
}

}  // namespace

TEST_CASE("a cluster that is torn down is a clean stand-alone primary with a standby that streams, and stays so") {
  Cluster cluster;
  const auto& pgkeel = *cluster.pgkeel;
  SqlConnection session(pgkeel.conninfo());
  session.query("CREATE TABLE kept AS SELECT 1 AS id");
  CHECK(left_on(cluster.server("a")).find("pgkeel_b") != std::string::npos);

  CHECK(pgkeel.run_verb({"teardown", "test"}).exit_status == 2);
  CHECK(pgkeel.run_verb({"teardown", "test", "--name", "tset"}).exit_status == 2);
  CHECK(pgkeel.status()["condition"] == "normal");
  Writers writers(pgkeel.conninfo(), 2);
  REQUIRE(writers.wait_for_more(20));
  const auto verb = pgkeel.run_verb({"teardown", "test", "--name", "test"});
  INFO(verb.output);
  INFO(verb.error_output);
  REQUIRE(verb.exit_status == 0);
  CHECK(verb.output.find("b stays a standby of a, without a slot") != std::string::npos);
  REQUIRE(wait_until([&] { return !writers.connect_errors().empty(); }));
  writers.stop();
  CHECK(most_route_errors_of_one(writers) <= 1);
  for (const auto& error : writers.connect_errors()) CHECK(error.find("is torn down") != std::string::npos);
  CHECK(writers.count_lost(cluster.server("a").conninfo()) == 0);
  check_left(cluster);
  try {
    session.query("SELECT 1");
    FAIL("a session outlived the teardown");
  } catch (const SqlError& error) {
    CHECK((error.sqlstate == "57P01" || error.notice_sqlstate == "57P01"));
  }
  CHECK(refused_with(pgkeel.conninfo()).find("\"test\" is torn down") != std::string::npos);
  CHECK(pgkeel.wait_for([](const auto& now) { return now["sessions"]["errors_by_sqlstate"].value("08001", 0) >= 1; }));

  // Whoever starts pgkeel again with this cluster still configured finds that it leaves it alone, and what it takes.
  cluster.pgkeel->terminate();
  cluster.pgkeel->start();
  REQUIRE(pgkeel.wait_for([](const auto& now) { return now["condition"] == "torn down"; }));
  const auto again = pgkeel.run_verb({"teardown", "test", "--name", "test"});
  CHECK(again.exit_status == 1);
  CHECK(again.error_output.find("torn down already") != std::string::npos);
  CHECK(left_on(cluster.server("a")) == "");
  cluster.pgkeel->terminate();
  cluster.pgkeel->start({"--adopt", "a"});
  cluster.require_normal("a");
  CHECK(SqlConnection(pgkeel.conninfo()).value("SELECT count(*) FROM kept") == "2");
}

TEST_CASE("a pgkeel that is killed in the middle of a teardown goes on with it") {
  Cluster cluster;
  const auto& pgkeel = *cluster.pgkeel;
  SqlConnection(pgkeel.conninfo()).query("CREATE TABLE kept AS SELECT 1 AS id");
  // Its release of b gets no answer: it is in the middle until b goes on.
  cluster.server("b").freeze_tree();
  VerbResult verb;
  std::thread waits([&] { verb = pgkeel.run_verb({"teardown", "test", "--name", "test"}); });
  const bool began = pgkeel.wait_for([](const auto& now) { return now["condition"] == "torn down"; });
  cluster.pgkeel->kill();
  cluster.server("b").thaw_tree();
  cluster.pgkeel->start();
  waits.join();
  INFO(verb.output);
  INFO(verb.error_output);
  REQUIRE(began);
  CHECK(verb.exit_status == 0);
  check_left(cluster);
}

TEST_CASE("a cluster whose servers have agents is left just so, and its agents do nothing by themselves afterwards") {
  AgentCluster cluster;
  const auto& pgkeel = *cluster.pgkeel;
  SqlConnection(pgkeel.conninfo()).query("CREATE TABLE kept AS SELECT 1 AS id");
  const auto verb = pgkeel.run_verb({"teardown", "test", "--name", "test"});
  INFO(verb.output);
  INFO(verb.error_output);
  REQUIRE(verb.exit_status == 0);
  check_left(cluster);
  // They were told nothing that outlives pgkeel: a primary that crashes stays as it is, for its operator.
  cluster.pgkeel->terminate();
  CHECK(cluster.agent("a").running());
  CHECK(cluster.agent("b").running());
  cluster.server("a").kill_tree();
  cluster.server("a").start();
  CHECK(cluster.server("a").is_primary());
  CHECK(cluster.server("a").value("SELECT count(*) FROM kept") == "2");
  CHECK(cluster.server("a").wait_streams("b"));
}
