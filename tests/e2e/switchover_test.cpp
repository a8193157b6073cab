// Planned changes of the primary on real servers: what clients see, what becomes of both nodes, what happens where it
// goes wrong.
#include <thread>

#include "tests/e2e/agent_fixture.h"
#include "tests/e2e/cluster_fixture.h"
#include "tests/support/sql_connection.h"

using namespace pgkeel;
using namespace pgkeel::test;
using namespace std::chrono_literals;

namespace {

void check_done(const VerbResult& verb) {
  INFO(verb.output);
  INFO(verb.error_output);
  CHECK(verb.exit_status == 0);
}

// Runs a verb while the test goes on.
class VerbInBackground {
 public:
  VerbInBackground(const PgkeelProcess& pgkeel, std::vector<std::string> arguments)
      : thread_([this, &pgkeel, arguments = std::move(arguments)] { result_ = pgkeel.run_verb(arguments); }) {}
  ~VerbInBackground() {
    if (thread_.joinable()) thread_.join();
  }
  const VerbResult& result() {
    thread_.join();
    return result_;
  }

 private:
  VerbResult result_;
  std::thread thread_;
};

bool wait_for_phase(const PgkeelProcess& pgkeel, const std::string& phase) {
  return pgkeel.wait_for([&](const auto& now) { return now["phase"] == phase; });
}

}  // namespace

TEST_CASE("an open transaction has its time, goes on where it is given up, and is rolled back where the time is over") {
  Cluster cluster({"b"}, {.cluster_lines = {"drain_timeout = \"20s\""}});
  auto& pgkeel = *cluster.pgkeel;
  const auto refused = [&](const std::vector<std::string>& arguments, const std::string& why) {
    const auto verb = pgkeel.run_verb(arguments);
    CAPTURE(verb.error_output);
    CHECK(verb.exit_status == 1);
    CHECK(verb.error_output.find(why) != std::string::npos);
  };
  refused({"switchover", "test", "--to", "a", "--yes"}, "a is the primary already");
  SqlConnection(pgkeel.conninfo()).query("CREATE TABLE kept (id int)");

  SqlConnection open(pgkeel.conninfo());
  SqlConnection idle(pgkeel.conninfo());
  open.query("BEGIN");
  open.query("INSERT INTO kept VALUES (1)");
  {
    // The standby dies while the transaction is waited for: everything stays as it was, and nobody sees an error.
    VerbInBackground verb(pgkeel, {"switchover", "test", "--yes"});
    REQUIRE(wait_for_phase(pgkeel, "draining"));
    CHECK(pgkeel.status()["condition"] == "switching over");
    CHECK(pgkeel.status()["sessions"]["drain_awaits"] == 1);
    cluster.server("b").kill_tree();
    const auto& result = verb.result();
    CAPTURE(result.error_output);
    CHECK(result.exit_status == 1);
    CHECK(result.error_output.find("given up: b failed") != std::string::npos);
    open.query("INSERT INTO kept VALUES (2)");
    CHECK(idle.value("SELECT 1") == "1");
  }
  cluster.require_normal("a");
  {
    // It ends in time. pgkeel is killed meanwhile, and goes on; only its clients are gone.
    VerbInBackground verb(pgkeel, {"switchover", "test", "--to", "b", "--yes"});
    REQUIRE(wait_for_phase(pgkeel, "draining"));
    open.query("COMMIT");
    check_done(verb.result());
  }
  cluster.require_normal("b");
  cluster.check_roles("b");
  CHECK(SqlConnection(pgkeel.conninfo()).value("SELECT count(*) FROM kept") == "2");

  SqlConnection endless(pgkeel.conninfo());
  endless.query("BEGIN");
  endless.query("INSERT INTO kept VALUES (3)");
  {
    VerbInBackground verb(pgkeel, {"switchover", "test", "--yes"});
    REQUIRE(wait_for_phase(pgkeel, "draining"));
    pgkeel.kill();
    pgkeel.start();
    check_done(verb.result());
  }
  cluster.require_normal("a");
  cluster.check_roles("a");
  CHECK(SqlConnection(pgkeel.conninfo()).value("SELECT count(*) FROM kept") == "2");
}

TEST_CASE("through agents; a transaction that does not end in time gets 57P01") {
  AgentCluster cluster({}, {"drain_timeout = \"200ms\""});
  const auto& pgkeel = *cluster.pgkeel;
  SqlConnection open(pgkeel.conninfo());
  open.query("BEGIN");
  open.query("CREATE TABLE never (id int)");
  check_done(pgkeel.run_verb({"switchover", "test", "--yes"}));
  try {
    open.query("COMMIT");
    FAIL("the transaction was not ended");
  } catch (const SqlError& error) {
    CHECK((error.sqlstate == "57P01" || error.notice_sqlstate == "57P01"));
  }
  REQUIRE_MESSAGE(pgkeel.wait_normal("b"), pgkeel.describe());
  cluster.check_roles("b", "a");
  CHECK(cluster.event_with("stop a: done: shut down") != "");
  CHECK(cluster.event_with("rejoin a: done: a standby of b by start") != "");
}

TEST_CASE("a node that pgkeel cannot shut down is not switched over: it says what is needed") {
  Cluster cluster({"b"}, {.local_nodes = false});
  const auto verb = cluster.pgkeel->run_verb({"switchover", "test", "--yes"});
  CHECK(verb.exit_status == 1);
  CHECK(verb.error_output.find("has no agent") != std::string::npos);
}
