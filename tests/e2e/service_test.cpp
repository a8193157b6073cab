// pgkeel under a service manager that stops and starts it (systemctl restart): what its clients see of that.
#include <csignal>
#include <future>

#include "tests/e2e/cluster_fixture.h"
#include "tests/e2e/config_file.h"
#include "tests/support/service_manager.h"
#include "tests/support/sql_connection.h"

using namespace pgkeel;
using namespace pgkeel::test;
using namespace std::chrono_literals;

namespace {

// Of the error that it ends with, which libpq may have had before; empty: it succeeded.
std::string sqlstate_of(SqlConnection& session, const std::string& sql) {
  try {
    session.query(sql);
    return "";
  } catch (const SqlError& error) {
    if (!error.sqlstate.empty()) return error.sqlstate;
    return error.notice_sqlstate.empty() ? "none" : error.notice_sqlstate;
  }
}

}  // namespace

TEST_CASE("systemctl restart: transactions end, nobody who connects is refused, and who comes in between waits") {
  Cluster cluster(std::vector<std::string>{}, {}, Cluster::Start::kLater);
  ServiceManagerOfTest manager(cluster.folder.path() + "/notify");
  auto& pgkeel = *cluster.pgkeel;
  pgkeel.start();
  cluster.require_normal("a");
  using Ports = std::vector<std::uint16_t>;
  REQUIRE(wait_until([&] { return manager.kept("cluster-test") == Ports{pgkeel.port()}; }));
  REQUIRE(manager.kept("admin") == Ports{pgkeel.admin_port()});
  Writers writers(pgkeel.conninfo(), 4);
  REQUIRE(writers.wait_for_more(20));
  SqlConnection idle(pgkeel.conninfo());
  SqlConnection busy(pgkeel.conninfo());
  busy.query("CREATE TABLE kept (id int); BEGIN; INSERT INTO kept VALUES (1)");

  ::kill(pgkeel.pid(), SIGTERM);
  REQUIRE(wait_until([&] { return manager.was_told("STOPPING=1"); }));
  REQUIRE(wait_until([&] { return pgkeel.status()["sessions"]["established"] == 1; }));
  CHECK(sqlstate_of(idle, "SELECT 1") == "57P01");
  CHECK(sqlstate_of(busy, "INSERT INTO kept VALUES (2)") == "");
  CHECK(pgkeel.running());
  CHECK(sqlstate_of(busy, "COMMIT") == "");
  CHECK(sqlstate_of(busy, "SELECT 1") == "57P01");
  REQUIRE(wait_until([&] { return !pgkeel.running(); }));

  auto comes_in_between = std::async(
      std::launch::async, [&] { return SqlConnection(pgkeel.conninfo()).value("SELECT count(*) FROM kept"); });
  pgkeel.start_with(manager.sockets());
  CHECK(comes_in_between.get() == "2");
  cluster.require_normal("a");
  REQUIRE(writers.wait_for_more(20));
  writers.stop();
  for (const std::string& error : writers.connect_errors()) CHECK_MESSAGE(false, error);
  for (const auto& [sqlstate, count] : writers.statement_errors()) {
    const bool is_the_stop = sqlstate == "57P01" || sqlstate == "57P01 as a notice";
    CHECK_MESSAGE(is_the_stop, sqlstate);
    CHECK(count <= 4);
  }
  CHECK(writers.count_lost(cluster.server("a").conninfo()) == 0);
  CHECK(manager.kept("cluster-test") == Ports{pgkeel.port()});
}

TEST_CASE("a transaction that does not end is ended when its time is over, or with the second signal") {
  Cluster cluster(std::vector<std::string>{}, {.proxy_lines = {"restart_drain = \"200ms\""}});
  auto& pgkeel = *cluster.pgkeel;
  SqlConnection stays(pgkeel.conninfo());
  stays.query("BEGIN");
  ::kill(pgkeel.pid(), SIGTERM);
  REQUIRE(wait_until([&] { return !pgkeel.running(); }));
  CHECK(sqlstate_of(stays, "COMMIT") == "57P01");

  const ConfigFile file(pgkeel);
  file.write(file.with_instead("restart_drain = \"200ms\"", "restart_drain = \"10m\""));
  pgkeel.start();
  cluster.require_normal("a");
  SqlConnection other(pgkeel.conninfo());
  other.query("BEGIN");
  ::kill(pgkeel.pid(), SIGTERM);
  REQUIRE(
      wait_until([&] { return pgkeel.log_text().find("as soon as it has no transaction open") != std::string::npos; }));
  CHECK(sqlstate_of(other, "SELECT 1") == "");
  ::kill(pgkeel.pid(), SIGTERM);
  REQUIRE(wait_until([&] { return !pgkeel.running(); }));
  CHECK(sqlstate_of(other, "COMMIT") == "57P01");
}
