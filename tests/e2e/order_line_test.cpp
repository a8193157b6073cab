// How orders get to a real server: nothing that was ordered before and has no known outcome is left when the next order
// is carried out, whether this pgkeel gave it, an earlier process, or one that led before; and nothing is sent by one
// that does not lead when it is about to be.
#include "replication/execute/order_line.h"

#include <functional>
#include <memory>
#include <optional>
#include <signal.h>
#include <string>
#include <vector>

#include <doctest/doctest.h>

#include "health/monitor.h"
#include "proxy/io/clock.h"
#include "proxy/io/loop.h"
#include "proxy/io/timer.h"
#include "tests/support/postgres_server.h"
#include "tests/support/sql_connection.h"
#include "tests/support/temporary_folder.h"
#include "tests/support/wait_until.h"

using namespace pgkeel;
using namespace pgkeel::test;
using namespace std::chrono_literals;

namespace {

using Answer = Result<SqlRows, pgkeel::SqlError>;

// One pgkeel's connections to the server "a".
struct Commander {
  Commander(Loop& event_loop, const PostgresServer& server)
      : loop(event_loop),
        monitor(
            event_loop, cluster_of(server), [] {}, [](const std::string&) { return Instant{}; }),
        line(event_loop, monitor) {
    monitor.start();
    line.tell_of_ended([this](const std::string& node, std::size_t sessions) {
      CHECK(node == "a");
      ended += sessions;
    });
  }

  static ClusterConfig cluster_of(const PostgresServer& server) {
    ClusterConfig cluster;
    cluster.name = "test";
    cluster.nodes.push_back(server.node());
    cluster.nodes.front().local.reset();
    return cluster;
  }

  void begin_term(std::uint64_t term) {
    line.begin_term(term, [this] { return leads; }, {});
  }

  // Runs the loop until `condition`, which may block, is true. The limit is only there to end a broken test.
  void run_until(const std::function<bool()>& condition) {
    Timer often(loop, [&] {
      if (condition()) loop.stop();
    });
    Timer late(loop, [&] { loop.stop(); });
    often.start_repeating(1ms);
    late.start_once(60s);
    loop.run();
    REQUIRE(condition());
  }

  std::shared_ptr<std::optional<Answer>> order(const std::string& sql, bool apart = false, Duration limit = 20s) {
    auto answer = std::make_shared<std::optional<Answer>>();
    const auto take = [answer](Answer result) { *answer = std::move(result); };
    apart ? line.run_sql_apart("a", sql, limit, take) : line.run_sql("a", sql, limit, take);
    return answer;
  }
  Answer outcome(const std::shared_ptr<std::optional<Answer>>& answer) {
    run_until([&] { return answer->has_value(); });
    return **answer;
  }
  std::string value(const std::string& sql, bool apart = false) {
    const Answer answer = outcome(order(sql, apart));
    REQUIRE_MESSAGE(answer.has_value(), answer.error().message);
    return answer->rows.at(0).at(0).value_or("");
  }

  Loop& loop;
  Monitor monitor;
  OrderLine line;
  bool leads = true;
  std::size_t ended = 0;
};

constexpr const char* kOwnSession =
    "SELECT application_name FROM pg_stat_activity WHERE pid = pg_catalog.pg_backend_pid()";
constexpr const char* kInsert = "INSERT INTO public.late VALUES (1)";
constexpr const char* kInsertsThatWait =
    "SELECT count(*) FROM pg_stat_activity WHERE wait_event_type = 'Lock' AND query LIKE 'INSERT%'";
constexpr const char* kSessionsOfOrders =
    "SELECT count(*) FROM pg_stat_activity WHERE application_name = 'pgkeel orders'";
constexpr const char* kSessionsOfOne =
    "SELECT count(*) FROM pg_stat_activity WHERE application_name = 'pgkeel term 5 of one'";

std::string session_count(const std::string& pid) {
  return "SELECT count(*) FROM pg_stat_activity WHERE pid = " + pid;
}

}  // namespace

TEST_CASE("an order of a pgkeel that is alone is never carried out after a newer one") {
  const TemporaryFolder folder;
  const auto server = PostgresServer::primary(folder, "a");
  server->query("CREATE TABLE late (id int)");
  SqlConnection holder(server->conninfo());
  holder.query("BEGIN");
  holder.query("LOCK late");
  Loop loop;
  Commander alone(loop, *server);
  CHECK(alone.value(kOwnSession) == "pgkeel orders");
  CHECK(alone.value(kOwnSession, true) == "pgkeel orders");
  CHECK(alone.ended == 0);
  SqlConnection observer(server->conninfo());
  const auto an_insert_waits = [&] { return observer.value(kInsertsThatWait) == "1"; };
  // The session of the order apart ends when its server has noticed that it was closed.
  REQUIRE(wait_until([&] { return observer.value(kSessionsOfOrders) == "1"; }));

  SUBCASE("where it got no answer") {
    const auto unanswered = alone.order(kInsert, false, 1s * kSlowdown);
    alone.run_until(an_insert_waits);
    CHECK_FALSE(alone.outcome(unanswered).has_value());
    CHECK(alone.value("SELECT 2") == "2");
    CHECK(alone.ended == 1);
    CHECK(alone.value("SELECT 3") == "3");
    CHECK(alone.ended == 1);  // once is enough
  }
  SUBCASE("where an earlier process had given it") {
    {
      Commander earlier(loop, *server);
      earlier.order(kInsert);
      earlier.run_until(an_insert_waits);
    }
    Commander next(loop, *server);
    CHECK(next.value("SELECT 2") == "2");
    CHECK(next.ended >= 1);  // and those that have no order under way, if they have come back already
  }
  SUBCASE("where one that must not be held up by it comes before its answer") {
    const auto under_way = alone.order(kInsert);
    const auto behind_it = alone.order("INSERT INTO public.late VALUES (2)");
    alone.run_until(an_insert_waits);
    alone.line.supersede("a");
    CHECK(alone.value("SELECT 2", true) == "2");
    CHECK(alone.ended == 1);
    CHECK(alone.outcome(under_way).error().message.find("given up for a newer order") != std::string::npos);
    CHECK(alone.outcome(behind_it).error().message.find("given up for a newer order") != std::string::npos);
  }
  holder.query("COMMIT");
  CHECK(server->value("SELECT count(*) FROM late") == "0");
}

TEST_CASE(
    "of several only the leader sends, and the sessions of whoever led before have ended before its first order") {
  const TemporaryFolder folder;
  const auto server = PostgresServer::primary(folder, "a");
  Loop loop;
  Commander one(loop, *server);
  Commander two(loop, *server);
  one.line.share("one");
  two.line.share("two");
  CHECK(one.outcome(one.order("SELECT 1")).error().message.find("does not lead") != std::string::npos);

  one.begin_term(5);
  CHECK(one.value(kOwnSession) == "pgkeel term 5 of one");
  CHECK(one.value(kOwnSession, true) == "pgkeel term 5 of one");
  CHECK(one.ended == 0);
  REQUIRE(wait_until([&] { return server->value(kSessionsOfOne) == "1"; }));
  const std::string session_of_one = one.value("SELECT pg_catalog.pg_backend_pid()");

  two.begin_term(9);
  CHECK(two.value(session_count(session_of_one)) == "0");
  const std::size_t ended = two.ended;
  CHECK(ended >= 1);  // it connects again when it notices: a second one may have been there in time
  CHECK(two.value(kOwnSession) == "pgkeel term 9 of two");
  CHECK(two.ended == ended);  // once in a term

  // It leads no more: its sessions bear its name alone, and it sends nothing.
  two.line.end_term();
  CHECK_FALSE(two.outcome(two.order("SELECT 1")).has_value());
  CHECK(server->value("SELECT count(*) FROM pg_stat_activity WHERE application_name LIKE 'pgkeel term 9%'") == "0");
}

TEST_CASE("who does not lead any more when its session is there sends nothing") {
  const TemporaryFolder folder;
  const auto server = PostgresServer::primary(folder, "a");
  Loop loop;
  Commander one(loop, *server);
  one.line.share("one");
  one.begin_term(5);
  REQUIRE(one.value("SELECT 1") == "1");
  for (const bool apart : {false, true}) {
    one.leads = true;
    const auto late = one.order("CREATE TABLE late (id int)", apart);
    one.leads = false;
    CHECK(one.outcome(late).error().message.find("does not lead any more") != std::string::npos);
  }
  one.leads = true;
  const auto waiting = one.order("CREATE TABLE late (id int)");
  one.line.end_term();
  CHECK_FALSE(one.outcome(waiting).has_value());
  CHECK(server->value("SELECT count(*) FROM pg_class WHERE relname = 'late'") == "0");
}

TEST_CASE("where an older session does not end, nothing is ordered; when it has, the next order goes through") {
  const TemporaryFolder folder;
  const auto server = PostgresServer::primary(folder, "a");
  Loop loop;
  Commander one(loop, *server);
  Commander two(loop, *server);
  one.line.share("one");
  two.line.share("two");
  one.begin_term(5);
  const pid_t backend = std::stoi(one.value("SELECT pg_catalog.pg_backend_pid()"));
  ::kill(backend, SIGSTOP);
  two.begin_term(9);
  const Answer refused = two.outcome(two.order("CREATE TABLE early (id int)"));
  ::kill(backend, SIGCONT);
  REQUIRE_FALSE(refused.has_value());
  CHECK(refused.error().message.find("do not end: 1 are there still") != std::string::npos);
  CHECK(server->value("SELECT count(*) FROM pg_class WHERE relname = 'early'") == "0");
  CHECK(two.value(session_count(std::to_string(backend))) == "0");
}
