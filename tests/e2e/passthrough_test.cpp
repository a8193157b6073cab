// What passes between a client and its server unchanged: each test does the same on the server itself, or says what it
// would do there.
#include <algorithm>
#include <csignal>

#include <libpq-fe.h>

#include "proxy/io/background_process.h"
#include "tests/e2e/single_fixture.h"
#include "tests/support/raw_client.h"
#include "tests/support/sql_connection.h"

using namespace pgkeel;
using namespace pgkeel::test;
using namespace std::chrono_literals;

namespace {

using wire_test::Heard;
using ResultPointer = std::unique_ptr<PGresult, decltype(&PQclear)>;

bool wait_sessions(const Single& single, const std::string& condition, const std::string& count) {
  SqlConnection observer(single.server->conninfo());
  return wait_until(
      [&] { return observer.value("SELECT count(*) FROM pg_stat_activity WHERE " + condition) == count; });
}

std::string sqlstate_of(PGconn* connection) {
  const ResultPointer result(PQgetResult(connection), PQclear);
  const char* state = PQresultErrorField(result.get(), PG_DIAG_SQLSTATE);
  return state != nullptr ? state : "";
}

std::string conninfo_of(std::uint16_t port, const std::string& user, const std::string& password) {
  return "host=127.0.0.1 dbname=postgres port=" + std::to_string(port) + " user=" + user + " password=" + password;
}

// What the connect failed with, empty where it did not. The port is part of what libpq says.
std::string connect_error(std::uint16_t port, const std::string& user, const std::string& password) {
  const std::unique_ptr<PGconn, decltype(&PQfinish)> connection(PQconnectdb(conninfo_of(port, user, password).c_str()),
                                                                PQfinish);
  if (PQstatus(connection.get()) == CONNECTION_OK) return {};
  std::string message = PQerrorMessage(connection.get());
  const std::string number = std::to_string(port);
  for (auto at = message.find(number); at != std::string::npos; at = message.find(number))
    message.replace(at, number.size(), "PORT");
  return message;
}

void check_same(const std::vector<Heard>& direct, const std::vector<Heard>& through) {
  REQUIRE(through.size() == direct.size());
  for (std::size_t index = 0; index < direct.size(); ++index) {
    CAPTURE(index);
    CHECK(through[index].type == direct[index].type);
    CHECK(through[index].body == direct[index].body);
  }
}

}  // namespace

TEST_CASE("a cancel request reaches the backend of its own session, and no other") {
  const Single single;
  SqlConnection first(single.pgkeel.conninfo());
  SqlConnection second(single.pgkeel.conninfo());
  for (auto* client : {&first, &second}) REQUIRE(PQsendQuery(client->handle(), "SELECT pg_sleep(3600)") == 1);
  REQUIRE(wait_sessions(single, "wait_event = 'PgSleep'", "2"));
  const std::unique_ptr<PGcancel, decltype(&PQfreeCancel)> cancel(PQgetCancel(first.handle()), PQfreeCancel);
  std::array<char, 256> error{};
  REQUIRE_MESSAGE(PQcancel(cancel.get(), error.data(), error.size()) == 1, error.data());
  CHECK(sqlstate_of(first.handle()) == "57014");
  REQUIRE(PQgetResult(first.handle()) == nullptr);
  CHECK(first.value("SELECT 1") == "1");
  CHECK(wait_sessions(single, "wait_event = 'PgSleep'", "1"));
  CHECK(single.pgkeel.status()["sessions"]["cancels_forwarded"] == 1);

  // With a key that nobody has: nothing is told, nothing happens.
  Peer stranger = Peer::connect_to(single.pgkeel.port());
  stranger.send(wire_test::cancel_request(static_cast<std::uint32_t>(PQbackendPID(second.handle())), "\1\2\3\4"));
  CHECK(stranger.receive_to_end().empty());
  CHECK(wait_sessions(single, "wait_event = 'PgSleep'", "1"));
}

TEST_CASE("a notification goes from one client to another that is idle") {
  const Single single;
  SqlConnection listener(single.pgkeel.conninfo());
  SqlConnection notifier(single.pgkeel.conninfo());
  listener.query("LISTEN channel");
  for (const char* payload : {"one", "two"}) {
    CAPTURE(payload);
    notifier.query("SELECT pg_notify('channel', '" + std::string(payload) + "')");
    std::unique_ptr<PGnotify, decltype(&PQfreemem)> notification(nullptr, PQfreemem);
    REQUIRE(wait_until([&] {
      PQconsumeInput(listener.handle());
      notification.reset(PQnotifies(listener.handle()));
      return notification != nullptr;
    }));
    CHECK(std::string(notification->extra) == payload);
    CHECK(notification->be_pid == PQbackendPID(notifier.handle()));
  }
}

TEST_CASE("the server authenticates: SCRAM, MD5 and clear passwords, right and wrong") {
  const Single single(
      {.hba_lines = {"host all scram all scram-sha-256", "host all md5 all md5", "host all clear all password",
                     "host all rejected all reject", "local all all trust", "host all all all trust"}});
  single.server->query(
      "CREATE ROLE scram LOGIN PASSWORD 'right'; SET password_encryption = md5; CREATE ROLE md5 LOGIN PASSWORD 'right';"
      "CREATE ROLE clear LOGIN PASSWORD 'right'; CREATE ROLE rejected LOGIN; CREATE ROLE nologin;"
      "CREATE ROLE full LOGIN CONNECTION LIMIT 0");
  const std::uint16_t direct = single.server->port();
  const std::uint16_t through = single.pgkeel.port();
  for (const char* user : {"scram", "md5", "clear"}) {
    CAPTURE(user);
    SqlConnection right(conninfo_of(through, user, "right"));
    CHECK(right.value("SELECT current_user") == user);
    CHECK(connect_error(through, user, "wrong").find("password authentication failed") != std::string::npos);
    CHECK(connect_error(through, user, "wrong") == connect_error(direct, user, "wrong"));
  }
  for (const char* user : {"rejected", "nologin", "full", "absent"}) {
    CAPTURE(user);
    CHECK_FALSE(connect_error(through, user, "").empty());
    CHECK(connect_error(through, user, "") == connect_error(direct, user, ""));
  }
  const auto clear_text = [](std::uint16_t port) {
    RawClient client(port, {{"user", "clear"}});
    client.next();
    client.send(wire_test::password("wrong"));
    return client.rest();
  };
  const auto refused = clear_text(through);
  REQUIRE(refused.size() == 1);
  CHECK(refused.front().field('C') == "28P01");
  check_same(clear_text(direct), refused);
  // An unknown database, and a parameter that is wrong.
  const std::vector<RawClient::Parameters> wrong = {{{"database", "absent"}}, {{"DateStyle", "nonsense"}}};
  for (const auto& parameters : wrong)
    check_same(RawClient(direct, parameters).rest(), RawClient(through, parameters).rest());
}

TEST_CASE("encryption is declined, and clients that prefer it go on without") {
  const Single single;
  const auto through = [&](const std::string& more) { return single.pgkeel.conninfo(more); };
  CHECK(SqlConnection(through("sslmode=prefer gssencmode=prefer")).value("SELECT 1") == "1");
  CHECK(SqlConnection(through("sslmode=allow")).value("SELECT 1") == "1");
  CHECK(SqlConnection(through("sslmode=disable gssencmode=disable")).value("SELECT 1") == "1");
  CHECK_THROWS_WITH_AS(SqlConnection(through("sslmode=require")), doctest::Contains("does not support SSL"), SqlError);

  Peer peer = Peer::connect_to(single.pgkeel.port());
  peer.send(wire_test::gss_encryption_request());
  CHECK(peer.receive(1) == "N");
  peer.send(wire_test::ssl_request());
  CHECK(peer.receive(1) == "N");
  peer.send(RawClient::startup_packet());
  CHECK(peer.receive_message().front() == 'R');
}

TEST_CASE("a newer minor version and unknown protocol options are for the server to judge") {
  const Single single;
  const auto first_answer = [](std::uint16_t port) {
    Peer peer = Peer::connect_to(port);
    peer.send(wire_test::startup_message(2, "postgres"));
    return peer.receive_message();
  };
  CHECK(first_answer(single.pgkeel.port()) == first_answer(single.server->port()));
  const RawClient::Parameters options = {{"_pq_.unknown", "on"}};
  RawClient client(single.pgkeel.port(), options);
  const auto login = client.log_in();
  REQUIRE(login.back().type == 'Z');
  CHECK(std::ranges::count(login, 'v', &Heard::type) == 1);
}

TEST_CASE("extended protocol: big parameters, many of them, and in binary") {
  const Single single;
  SqlConnection client(single.pgkeel.conninfo());
  const std::string big(std::size_t{32} << 20, 'x');
  const std::array<const char*, 1> text = {big.c_str()};
  ResultPointer result(
      PQexecParams(client.handle(), "SELECT length($1), md5($1), $1", 1, nullptr, text.data(), nullptr, nullptr, 1),
      PQclear);
  REQUIRE_MESSAGE(PQresultStatus(result.get()) == PGRES_TUPLES_OK, PQerrorMessage(client.handle()));
  CHECK(std::string_view(PQgetvalue(result.get(), 0, 2), static_cast<std::size_t>(PQgetlength(result.get(), 0, 2))) ==
        big);

  constexpr int kMany = 20000;
  std::string sql = "SELECT ";
  std::vector<std::string> values;
  for (int number = 1; number <= kMany; ++number) {
    sql += (number > 1 ? "+$" : "$") + std::to_string(number) + "::bigint";
    values.push_back(std::to_string(number));
    // The parser's depth: sums of sums.
    if (number % 100 == 0 && number < kMany) sql += ", 0";
  }
  std::vector<const char*> pointers;
  for (const auto& value : values) pointers.push_back(value.c_str());
  result.reset(PQexecParams(client.handle(), sql.c_str(), kMany, nullptr, pointers.data(), nullptr, nullptr, 0));
  REQUIRE_MESSAGE(PQresultStatus(result.get()) == PGRES_TUPLES_OK, PQerrorMessage(client.handle()));
  long long sum = 0;
  for (int column = 0; column < PQnfields(result.get()); ++column)
    sum += std::stoll(PQgetvalue(result.get(), 0, column));
  CHECK(sum == 20000LL * 20001 / 2);
}

TEST_CASE("a pipeline of thousands of statements is answered in order, errors included") {
  const Single single;
  SqlConnection client(single.pgkeel.conninfo());
  PGconn* handle = client.handle();
  REQUIRE(PQenterPipelineMode(handle) == 1);
  REQUIRE(PQsetnonblocking(handle, 1) == 0);
  constexpr int kStatements = 5000;
  int next = 0;
  const auto expected = [](int number) {
    return std::to_string(number) + std::string(static_cast<std::size_t>(number % 500), '.');
  };
  for (int sent = 0; sent < kStatements; ++sent) {
    const std::string value = expected(sent);
    const std::array<const char*, 1> parameter = {value.c_str()};
    // Every thousandth fails alone: each has its own Sync.
    const char* sql = sent % 1000 == 999 ? "SELECT ($1 || 'x')::int" : "SELECT $1::text";
    REQUIRE(PQsendQueryParams(handle, sql, 1, nullptr, parameter.data(), nullptr, nullptr, 0) == 1);
    REQUIRE(PQpipelineSync(handle) == 1);
  }
  REQUIRE(PQsetnonblocking(handle, 0) == 0);
  for (; next < kStatements; ++next) {
    CAPTURE(next);
    const ResultPointer result(PQgetResult(handle), PQclear);
    if (next % 1000 == 999) {
      REQUIRE(PQresultStatus(result.get()) == PGRES_FATAL_ERROR);
    } else {
      REQUIRE(PQresultStatus(result.get()) == PGRES_TUPLES_OK);
      REQUIRE(PQgetvalue(result.get(), 0, 0) == expected(next));
    }
    REQUIRE(PQgetResult(handle) == nullptr);
    const ResultPointer sync(PQgetResult(handle), PQclear);
    REQUIRE(PQresultStatus(sync.get()) == PGRES_PIPELINE_SYNC);
  }
}

TEST_CASE("a client that has sent its last still gets all its answers") {
  const Single single;
  const auto answers = [](std::uint16_t port) {
    RawClient client(port);
    client.log_in();
    client.send_query("SELECT repeat('x', 1000) FROM generate_series(1, 20000)");
    client.send_query("SELECT 'the last'");
    client.peer().finish_sending();
    return client.rest();
  };
  const auto through = answers(single.pgkeel.port());
  CHECK(through.size() > 20000);
  check_same(answers(single.server->port()), through);
}

TEST_CASE("a client that is gone leaves no session behind") {
  const Single single({.settings = {"client_connection_check_interval = '100ms'"}});
  SUBCASE("killed in a query, on a server that looks after its clients") {
    auto psql = BackgroundProcess::start(
        {bin_directory() + "/psql", "--no-psqlrc", "--dbname", single.pgkeel.conninfo("application_name=victim"),
         "--command", "SELECT pg_sleep(3600)"},
        single.folder.path() + "/psql.log");
    REQUIRE(psql);
    REQUIRE(wait_sessions(single, "application_name = 'victim' AND wait_event = 'PgSleep'", "1"));
    ::kill(psql->pid(), SIGKILL);
    CHECK(wait_sessions(single, "application_name = 'victim'", "0"));
  }
  SUBCASE("reset while idle, in a transaction and in COPY") {
    for (const char* sql : {"SELECT 1", "BEGIN", "COPY pg_am TO STDOUT"}) {
      RawClient client(single.pgkeel.port(), {{"application_name", "victim"}});
      client.log_in();
      client.query(sql);
      client.peer().reset();
    }
    CHECK(wait_sessions(single, "application_name = 'victim'", "0"));
  }
  CHECK(single.pgkeel.wait_for([](const auto& now) { return now["sessions"]["open"] == 0; }));
}

TEST_CASE("a session that the server ends, ends with the server's words alone") {
  const Single single;
  struct Ending {
    const char* sql;
    const char* sqlstate;
  };
  for (const auto& [sql, sqlstate] : {Ending{"SET idle_session_timeout = '50ms'", "57P05"},
                                      Ending{"BEGIN; SET idle_in_transaction_session_timeout = '50ms'", "25P03"},
                                      Ending{"SELECT pg_terminate_backend(pg_backend_pid())", "57P01"}}) {
    CAPTURE(sql);
    const auto last_words = [sql = sql](std::uint16_t port) {
      RawClient client(port);
      client.log_in();
      client.query(sql);
      return client.rest();
    };
    const auto words = last_words(single.pgkeel.port());
    check_same(last_words(single.server->port()), words);
    if (!words.empty()) CHECK(words.back().field('C') == sqlstate);
  }
}
