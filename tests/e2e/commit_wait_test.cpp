// A commit that waits for its standby: it cannot be cancelled through the access point, and who cuts the wait short
// otherwise does not make the client believe that it was acknowledged.
#include <array>
#include <memory>
#include <string>

#include <doctest/doctest.h>
#include <libpq-fe.h>

#include "tests/e2e/cluster_fixture.h"

using namespace pgkeel;
using namespace pgkeel::test;

namespace {

// A cluster in which every commit waits for `b`, and `b` stands still while a test says so.
struct WaitingCluster : Cluster {
  WaitingCluster() : Cluster({"b"}, strict()) {
    SqlConnection(pgkeel->conninfo()).query("CREATE TABLE written (id text PRIMARY KEY)");
    SqlConnection(pgkeel->conninfo())
        .query(
            "CREATE PROCEDURE write(id text) LANGUAGE plpgsql AS $$ BEGIN INSERT INTO written VALUES (id); COMMIT; "
            "PERFORM pg_sleep(60); END $$");
  }

  static PgkeelOptions strict() {
    PgkeelOptions options;
    options.cluster_lines = {"durability = \"strict\""};
    return options;
  }

  [[nodiscard]] bool waits_for_standby(const SqlConnection& client) const {
    return server("a").value("SELECT wait_event FROM pg_stat_activity WHERE pid = " +
                             std::to_string(PQbackendPID(client.handle()))) == "SyncRep";
  }
  void wait_for_standby(const SqlConnection& client) const {
    if (!wait_until([&] { return waits_for_standby(client); })) throw std::runtime_error("no commit waits");
  }
};

using Result = std::unique_ptr<PGresult, decltype(&PQclear)>;

Result next_result(const SqlConnection& client) {
  return {PQgetResult(client.handle()), PQclear};
}

std::string field(const Result& result, int code) {
  const char* text = result ? PQresultErrorField(result.get(), code) : nullptr;
  return text == nullptr ? "" : text;
}

void cancel(const SqlConnection& client) {
  const std::unique_ptr<PGcancel, decltype(&PQfreeCancel)> request(PQgetCancel(client.handle()), PQfreeCancel);
  std::array<char, 256> error{};
  REQUIRE_MESSAGE(PQcancel(request.get(), error.data(), error.size()) == 1, error.data());
}

void check_ended_in_doubt(const SqlConnection& client) {
  // In the extended protocol the statement is complete before its commit is.
  Result error = next_result(client);
  if (PQresultStatus(error.get()) == PGRES_COMMAND_OK) error = next_result(client);
  CHECK(field(error, PG_DIAG_SEVERITY_NONLOCALIZED) == "FATAL");
  CHECK(field(error, PG_DIAG_SQLSTATE) == "57P01");
  CHECK(field(error, PG_DIAG_MESSAGE_DETAIL).find("is unknown") != std::string::npos);
  while (next_result(client)) {  // libpq's own words on the end of the connection
  }
  CHECK(PQstatus(client.handle()) == CONNECTION_BAD);
}

}  // namespace

TEST_CASE("a commit that waits for its standby is not cancelled, and succeeds when the standby is back") {
  const WaitingCluster cluster;
  SqlConnection client(cluster.pgkeel->conninfo());
  cluster.server("b").freeze_tree();
  REQUIRE(PQsendQuery(client.handle(), "INSERT INTO written VALUES ('waited')") == 1);
  cluster.wait_for_standby(client);
  cancel(client);
  CHECK(cluster.pgkeel->status()["sessions"]["cancels_held_back"] == 1);
  CHECK(cluster.pgkeel->status()["sessions"]["cancels_forwarded"] == 0);
  CHECK(cluster.waits_for_standby(client));
  CHECK(PQconsumeInput(client.handle()) == 1);
  CHECK(PQisBusy(client.handle()) == 1);

  cluster.server("b").thaw_tree();
  CHECK(PQresultStatus(next_result(client).get()) == PGRES_COMMAND_OK);
  CHECK_FALSE(next_result(client));
  CHECK(cluster.server("a").wait_caught_up("b"));
  CHECK(cluster.server("b").value("SELECT id FROM written") == "waited");

  // One that does not wait is cancelled as ever.
  REQUIRE(PQsendQuery(client.handle(), "SELECT pg_sleep(3600)") == 1);
  REQUIRE(wait_until([&] {
    return cluster.server("a").value("SELECT wait_event FROM pg_stat_activity WHERE pid = " +
                                     std::to_string(PQbackendPID(client.handle()))) == "PgSleep";
  }));
  cancel(client);
  CHECK(field(next_result(client), PG_DIAG_SQLSTATE) == "57014");
  CHECK_FALSE(next_result(client));
  CHECK(client.value("SELECT 1") == "1");
}

TEST_CASE("a commit whose wait is cut short on the server ends its session with 57P01, outcome unknown") {
  const WaitingCluster cluster;
  cluster.server("b").freeze_tree();
  int number = 0;
  for (const char* way : {"pg_cancel_backend", "pg_terminate_backend"}) {
    for (const bool extended : {false, true}) {
      for (const bool in_transaction : {false, true}) {
        CAPTURE(way);
        CAPTURE(extended);
        CAPTURE(in_transaction);
        SqlConnection client(cluster.pgkeel->conninfo());
        const std::string insert = "INSERT INTO written VALUES ('" + std::to_string(++number) + "')";
        if (in_transaction) client.query("BEGIN; " + insert);
        const std::string last = in_transaction ? "COMMIT" : insert;
        REQUIRE(1 == (extended
                          ? PQsendQueryParams(client.handle(), last.c_str(), 0, nullptr, nullptr, nullptr, nullptr, 0)
                          : PQsendQuery(client.handle(), last.c_str())));
        cluster.wait_for_standby(client);
        cluster.server("a").query("SELECT " + std::string(way) + "(" + std::to_string(PQbackendPID(client.handle())) +
                                  ")");
        check_ended_in_doubt(client);
        CHECK(cluster.pgkeel->status()["sessions"]["commit_waits_interrupted"] == number);
      }
    }
  }
  cluster.server("b").thaw_tree();
}

TEST_CASE("statement_timeout in the wait of a COMMIT inside of CALL ends the session too") {
  const WaitingCluster cluster;
  SqlConnection client(cluster.pgkeel->conninfo());
  client.query("SET statement_timeout = '500ms'");
  cluster.server("b").freeze_tree();
  REQUIRE(PQsendQuery(client.handle(), "CALL write('called')") == 1);
  check_ended_in_doubt(client);
  CHECK(cluster.pgkeel->status()["sessions"]["commit_waits_interrupted"] == 1);
  CHECK(cluster.server("a").value("SELECT id FROM written") == "called");
  cluster.server("b").thaw_tree();
}
