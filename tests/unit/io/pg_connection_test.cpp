#include "proxy/io/pg_connection.h"

#include <fstream>
#include <optional>

#include <doctest/doctest.h>

#include "tests/support/postgres_server.h"
#include "tests/unit/io/loop_runner.h"

using namespace pgkeel;
using namespace pgkeel::test;
using namespace std::chrono_literals;

namespace {

PgSettings settings_of(const PostgresServer& server) {
  return {.address = {"a.example", server.port()},
          .addresses = numeric_socket_addresses({"127.0.0.1", server.port()}),
          .user = "pgkeel",
          .database = "postgres",
          .password = "",
          .parameters = {}};
}

// A connection with calls that wait.
struct Client {
  Loop loop;
  int lost = 0;
  std::optional<PgConnection> connection{std::in_place, loop, [this] { lost += 1; }};

  ~Client() { connection.reset(); }

  std::optional<pgkeel::SqlError> connect(const PgSettings& settings, Duration limit = 20s) {
    std::optional<Result<void, pgkeel::SqlError>> answer;
    connection->connect(settings, limit, [&](auto result) { answer = std::move(result); });
    CHECK_FALSE(answer.has_value());
    REQUIRE(run_until(loop, [&] { return answer.has_value(); }));
    if (answer->has_value()) return std::nullopt;
    return answer->error();
  }

  Result<SqlRows, pgkeel::SqlError> query(const std::string& sql, Duration limit = 20s) {
    std::optional<Result<SqlRows, pgkeel::SqlError>> answer;
    connection->query(sql, limit, [&](auto result) { answer = std::move(result); });
    CHECK_FALSE(answer.has_value());
    REQUIRE(run_until(loop, [&] { return answer.has_value(); }));
    return *answer;
  }
  std::string value(const std::string& sql) {
    const auto answer = query(sql);
    REQUIRE(answer.has_value());
    REQUIRE(answer->rows.size() == 1);
    return answer->rows[0][0].value_or("");
  }
};

using State = PgConnection::State;

}  // namespace

TEST_CASE("a connect error is taken apart") {
  const auto starting = parse_connect_error(
      "connection to server at \"127.0.0.1\", port 5432 failed: FATAL:  57P03: the database system is starting up\n"
      "LOCATION:  ProcessStartupPacket, postmaster.c:2370\n");
  CHECK(starting.sqlstate == "57P03");
  CHECK(starting.message == "the database system is starting up");
  CHECK(parse_connect_error("FATAL:  53300").sqlstate.empty());
  const auto silent = parse_connect_error(
      "connection to server at \"a\", port 1 failed: server closed the connection unexpectedly\n\tThis probably "
      "means\n");
  CHECK(silent.sqlstate.empty());
  CHECK(silent.message == "connection to server at \"a\", port 1 failed: server closed the connection unexpectedly");
  CHECK(parse_connect_error("").message.empty());
  CHECK(parse_connect_error(":  ").message == ":  ");
}

TEST_CASE("rows, nulls, errors and several statements come back over one connection") {
  const TemporaryFolder folder;
  const auto server = PostgresServer::primary(folder, "a");
  Client client;
  auto settings = settings_of(*server);
  settings.parameters = {{"statement_timeout", "7s"}, {"search_path", "pg_catalog, \"a b\\\""}};
  REQUIRE_FALSE(client.connect(settings).has_value());
  CHECK(client.connection->state() == State::kIdle);

  const auto answer = client.query("SELECT 1, NULL, '' UNION ALL SELECT 2, 'x', 'y' ORDER BY 1");
  REQUIRE(answer.has_value());
  REQUIRE(answer->rows.size() == 2);
  CHECK(answer->rows[0] == std::vector<std::optional<std::string>>{"1", std::nullopt, ""});
  CHECK(answer->rows[1] == std::vector<std::optional<std::string>>{"2", "x", "y"});
  CHECK(client.value("SELECT 1; SELECT 2") == "2");
  CHECK(client.query("CHECKPOINT")->rows.empty());
  CHECK(client.query("")->rows.empty());
  CHECK(client.value("SHOW application_name") == "pgkeel");
  CHECK(client.value("SHOW statement_timeout") == "7s");
  CHECK(client.value("SHOW search_path") == "pg_catalog, \"a b\\\"");

  const auto refused = client.query("SELECT 1 / 0; SELECT 2");
  REQUIRE_FALSE(refused.has_value());
  CHECK(refused.error().sqlstate == "22012");
  CHECK(refused.error().message == "division by zero");
  CHECK(client.connection->state() == State::kIdle);
  CHECK(client.value("SELECT length(repeat('x', 3000000))") == "3000000");
  CHECK(client.value("SELECT repeat('x', 3000000)").size() == 3'000'000);
  CHECK(client.value("SELECT length('" + std::string(3'000'000, 'y') + "')") == "3000000");

  const auto copy = client.query("COPY (SELECT 1) TO STDOUT");
  REQUIRE_FALSE(copy.has_value());
  CHECK(client.connection->state() == State::kClosed);
  CHECK(client.lost == 0);
}

TEST_CASE("what the server answers to a connect is told by its SQLSTATE") {
  const TemporaryFolder folder;
  const auto server = PostgresServer::primary(
      folder, "a",
      {.settings = {"max_connections = 2", "superuser_reserved_connections = 1", "max_wal_senders = 1"},
       .hba_lines = {"host all secret 127.0.0.1/32 scram-sha-256", "host all pgkeel,postgres 127.0.0.1/32 trust"}});
  server->query("CREATE ROLE secret LOGIN PASSWORD 'right'; CREATE ROLE nobody LOGIN");
  auto settings = settings_of(*server);
  const auto sqlstate = [](const PgSettings& of) {
    Client client;
    const auto error = client.connect(of);
    CHECK(client.connection->state() == (error ? State::kClosed : State::kIdle));
    return error ? error->sqlstate : "";
  };
  settings.user = "secret";
  settings.password = "wrong";
  CHECK(sqlstate(settings) == "28P01");
  settings.password = "right";
  CHECK(sqlstate(settings).empty());
  settings.user = "nobody";
  CHECK(sqlstate(settings) == "28000");
  settings.user = "pgkeel";
  settings.database = "nowhere";
  CHECK(sqlstate(settings) == "3D000");
  settings.database = "postgres";
  settings.user = "secret";
  Client first;
  REQUIRE_FALSE(first.connect(settings_of(*server)).has_value());
  CHECK(sqlstate(settings) == "53300");
}

TEST_CASE("a server that ends an idle connection is noticed without a query") {
  const TemporaryFolder folder;
  const auto server = PostgresServer::primary(folder, "a");
  Client client;
  const auto ends = [&](auto end) {
    client.lost = 0;
    REQUIRE_FALSE(client.connect(settings_of(*server)).has_value());
    end();
    REQUIRE(run_until(client.loop, [&] { return client.lost > 0; }));
    CHECK(client.lost == 1);
    CHECK(client.connection->state() == State::kClosed);
  };
  ends([&] {
    server->query("SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE application_name = 'pgkeel'");
  });
  ends([&] { server->stop("fast"); });
  server->start();
  ends([&] { server->kill_tree(); });
  const auto refused = client.connect(settings_of(*server));
  REQUIRE(refused.has_value());
  CHECK(refused->sqlstate.empty());
}

TEST_CASE("a query whose backend is ended tells why, and the link is closed") {
  const TemporaryFolder folder;
  const auto server = PostgresServer::primary(folder, "a");
  Client client;
  REQUIRE_FALSE(client.connect(settings_of(*server)).has_value());
  const auto ended = client.query("SELECT pg_terminate_backend(pg_backend_pid())");
  REQUIRE_FALSE(ended.has_value());
  CHECK(ended.error().sqlstate == "57P01");
  CHECK(client.connection->state() == State::kClosed);
  CHECK(client.lost == 0);

  REQUIRE_FALSE(client.connect(settings_of(*server)).has_value());
  std::optional<Result<SqlRows, pgkeel::SqlError>> answer;
  client.connection->query("SELECT pg_sleep(60)", 60s, [&](auto result) { answer = std::move(result); });
  server->kill_tree();
  REQUIRE(run_until(client.loop, [&] { return answer.has_value(); }));
  REQUIRE_FALSE(answer->has_value());
  CHECK(answer->error().sqlstate.empty());
  CHECK(client.connection->state() == State::kClosed);
}

TEST_CASE("a frozen server runs into the limit, in a query and in a connect") {
  const TemporaryFolder folder;
  const auto server = PostgresServer::primary(folder, "a");
  Client client;
  REQUIRE_FALSE(client.connect(settings_of(*server)).has_value());
  server->freeze_tree();
  const auto late = client.query("SELECT 1", 50ms);
  REQUIRE_FALSE(late.has_value());
  CHECK(late.error().sqlstate.empty());
  CHECK(late.error().message == "no answer within 50ms");
  CHECK(client.connection->state() == State::kClosed);
  const auto connect = client.connect(settings_of(*server), 50ms);
  REQUIRE(connect.has_value());
  CHECK(connect->message == "no answer within 50ms");
  server->thaw_tree();
  CHECK_FALSE(client.connect(settings_of(*server)).has_value());
}

TEST_CASE("a closed or destroyed connection calls nobody any more") {
  const TemporaryFolder folder;
  const auto server = PostgresServer::primary(folder, "a");
  Client client;
  bool called = false;
  client.connection->connect(settings_of(*server), 20s, [&](const auto&) { called = true; });
  client.connection->close();
  CHECK(client.connection->state() == State::kClosed);
  auto broken = settings_of(*server);
  broken.addresses.front().storage.ss_family = AF_UNSPEC;  // no address at all
  client.connection->connect(broken, 20s, [&](const auto&) { called = true; });
  client.connection->close();
  REQUIRE_FALSE(client.connect(settings_of(*server)).has_value());
  client.connection->query("SELECT 1", 20s, [&](const auto&) { called = true; });
  client.connection->close();
  REQUIRE_FALSE(client.connect(settings_of(*server)).has_value());
  CHECK_FALSE(called);
  CHECK(client.lost == 0);

  client.connection->query("SELECT 1", 20s, [&](const auto&) {
    called = true;
    client.connection.reset();
  });
  REQUIRE(run_until(client.loop, [&] { return called; }));
}
