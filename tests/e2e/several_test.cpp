// Two pgkeels that serve the same cluster and agree through a real etcd: one leads, both route, and what becomes of
// clients where one of them, or etcd, goes.
#include <algorithm>
#include <filesystem>
#include <fstream>
#include <iterator>
#include <map>
#include <memory>
#include <signal.h>
#include <sstream>
#include <string>
#include <thread>

#include <libpq-fe.h>

#include "proxy/io/clock.h"
#include "tests/e2e/cluster_fixture.h"
#include "tests/e2e/route_errors.h"
#include "tests/support/agent_process.h"
#include "tests/support/etcd_server.h"
#include "tests/support/raw_client.h"
#include "tests/support/sql_connection.h"
#include "tests/support/successor.h"
#include "tests/support/test_certificates.h"
#include "tests/support/wait_until.h"

using namespace pgkeel;
using namespace pgkeel::test;
using namespace std::chrono_literals;

namespace {

struct Several {
  explicit Several(const std::vector<std::string>& cluster_lines = {}) {
    servers.push_back(PostgresServer::primary(folder, "a"));
    servers.push_back(PostgresServer::standby_of(*servers.front(), "b"));
    std::map<std::string, AgentAccessConfig> access;
    for (const auto& server : servers) {
      agents.push_back(std::make_unique<AgentProcess>(folder, *server, certificates));
      agents.back()->start();
      access[server->name()] = agents.back()->access();
    }
    for (const std::string name : {"one", "two"}) {
      PgkeelOptions options;
      options.agents = access;
      options.cluster_lines = cluster_lines;
      const std::string peer = "127.0.0.1:" + std::to_string(free_port());
      options.coordination_lines = {"etcd = [\"" + etcd.url() + "\"]", "name = \"" + name + "\"", "lease = \"4s\"",
                                    peer_line(peer, peer, certificates.peer())};
      folders[name] = std::make_unique<TemporaryFolder>();
      pgkeels[name] = std::make_unique<PgkeelProcess>(
          *folders[name], std::vector<PostgresServer*>{servers[0].get(), servers[1].get()}, options);
    }
    of("one").start();
    require_normal("one", "a");
    of("two").start();
    require_normal("two", "a");
  }

  PgkeelProcess& of(const std::string& name) { return *pgkeels.at(name); }
  PostgresServer& server(const std::string& name) { return *servers[name == "a" ? 0 : 1]; }

  void require_normal(const std::string& name, const std::string& primary) {
    REQUIRE_MESSAGE(of(name).wait_normal(primary), of(name).describe());
    REQUIRE(wait_until([&] { return can_write_through(name); }));
  }

  bool can_write_through(const std::string& name) {
    try {
      SqlConnection client("host=127.0.0.1 port=" + std::to_string(of(name).port()) +
                           " user=postgres dbname=postgres connect_timeout=2");
      return client.value("SELECT pg_is_in_recovery()") == "f";
    } catch (const SqlError&) {
      return false;
    }
  }

  // Which both know: drivers try one after the other.
  [[nodiscard]] std::string conninfo() {
    return "host=127.0.0.1,127.0.0.1 port=" + std::to_string(of("one").port()) + "," +
           std::to_string(of("two").port()) + " user=postgres dbname=postgres connect_timeout=20";
  }

  EtcdServer etcd;
  TemporaryFolder folder;
  Certificates certificates{folder};
  std::vector<std::unique_ptr<PostgresServer>> servers;
  std::vector<std::unique_ptr<AgentProcess>> agents;
  std::map<std::string, std::unique_ptr<TemporaryFolder>> folders;
  std::map<std::string, std::unique_ptr<PgkeelProcess>> pgkeels;
};

// As far as the other one says.
bool has_lease(const std::string& member, PgkeelProcess& other) {
  const auto status = other.status();
  if (!status.is_object()) return true;
  for (const auto& each : status["coordination"]["members"]) {
    if (each["name"] == member) return each["has_lease"] == true;
  }
  return false;
}

// SIGSTOP reaches one thread after the other.
bool every_thread_stands_still(pid_t process) {
  for (const auto& thread : std::filesystem::directory_iterator("/proc/" + std::to_string(process) + "/task")) {
    std::ifstream file(thread.path() / "stat");
    const std::string stat{std::istreambuf_iterator<char>(file), {}};
    const auto state = stat.rfind(") ");
    if (state == std::string::npos || stat[state + 2] != 'T') return false;
  }
  return true;
}

// What sessions of a pgkeel that leads, or led, were told there: the lines of a server's log.
std::string orders_in(const std::string& log, const std::string& whose) {
  std::string orders;
  std::istringstream lines(log);
  for (std::string line; std::getline(lines, line);) {
    const bool is_order =
        line.find("pgkeel term ") != std::string::npos && line.find("statement:") != std::string::npos;
    if (is_order && line.find(whose) != std::string::npos) orders += line + "\n";
  }
  return orders;
}

}  // namespace

TEST_CASE("both route, one decides, and the primary's failure is one change of route for both") {
  Several several;
  Writers through_one(several.of("one").conninfo(), 2);
  Writers through_two(several.of("two").conninfo(), 2);
  REQUIRE(through_one.wait_for_more(20));
  REQUIRE(through_two.wait_for_more(20));
  several.server("a").kill_tree();
  REQUIRE_MESSAGE(through_one.wait_for_more(20), several.of("one").describe());
  REQUIRE_MESSAGE(through_two.wait_for_more(20), several.of("two").describe());
  several.require_normal("one", "b");
  several.require_normal("two", "b");
  through_one.stop();
  through_two.stop();
  MESSAGE("longest gaps: ", to_milliseconds(through_one.longest_gap()), " ms and ",
          to_milliseconds(through_two.longest_gap()), " ms");
  CHECK(through_one.count_lost(several.of("two").conninfo()) == 0);
  CHECK(through_two.count_lost(several.of("one").conninfo()) == 0);
  CHECK(several.of("one").status()["epoch"] == several.of("two").status()["epoch"]);
  const auto coordination = several.of("two").status()["coordination"];
  CHECK(coordination["leader"] == "one");
  CHECK(coordination["leads"] == false);
  CHECK(coordination["routes"] == true);
  REQUIRE(coordination["members"].size() == 2);
  for (const auto& member : coordination["members"]) {
    CHECK(member["follows_route"] == true);
    CHECK(member["differs_in"].empty());
  }
  // The one that looks on carries out no order.
  const auto refused = several.of("two").run_verb({"switchover", "test", "--yes"});
  CHECK(refused.exit_status == 1);
  CHECK(refused.error_output.find("pgkeel one leads") != std::string::npos);
  REQUIRE(several.of("one").run_verb({"switchover", "test", "--yes"}).exit_status == 0);
  several.require_normal("two", "a");
}

TEST_CASE("a cancel request that reaches the other one finds its session") {
  Several several;
  RawClient client(several.of("one").port());
  const auto messages = client.log_in();
  const auto key = std::ranges::find(messages, 'K', &RawClient::Heard::type);
  REQUIRE(key != messages.end());
  client.send_query("SELECT pg_sleep(3600)");
  REQUIRE(wait_until([&] {
    return several.server("a").value("SELECT count(*) FROM pg_stat_activity WHERE wait_event = 'PgSleep'") == "1";
  }));
  Peer elsewhere = Peer::connect_to(several.of("two").port());
  elsewhere.send(wire_test::untyped(wire_test::int32_bytes(80877102) + key->body));
  CHECK(elsewhere.receive_to_end().empty());
  const auto answer = client.next_until('Z');
  const auto error = std::ranges::find(answer, 'E', &RawClient::Heard::type);
  REQUIRE(error != answer.end());
  CHECK(error->field('C') == "57014");
}

TEST_CASE("the leader is killed: the other one leads, and fails over when the primary dies too") {
  Several several;
  Writers writers(several.conninfo(), 4);
  REQUIRE(writers.wait_for_more(50));
  several.of("one").kill();
  several.server("a").kill_tree();
  REQUIRE_MESSAGE(writers.wait_for_more(50), several.of("two").describe());
  several.require_normal("two", "b");
  writers.stop();
  MESSAGE("leader and primary killed together: longest gap ", to_milliseconds(writers.longest_gap()), " ms");
  CHECK(writers.count_lost(several.of("two").conninfo()) == 0);
  several.of("one").start();
  several.require_normal("one", "b");
}

TEST_CASE("the leader is ended in order: the other one leads, on the same route, and takes orders") {
  Several several;
  Writers writers(several.conninfo(), 2);
  REQUIRE(writers.wait_for_more(20));
  const auto epoch = several.of("two").status()["epoch"];
  several.of("one").terminate();
  REQUIRE_MESSAGE(wait_until([&] { return several.of("two").status()["coordination"]["leads"] == true; }),
                  several.of("two").describe());
  REQUIRE(writers.wait_for_more(20));
  several.of("one").start();
  several.require_normal("one", "a");
  several.require_normal("two", "a");
  CHECK(several.of("one").status()["epoch"] == epoch);
  CHECK(several.of("one").status()["coordination"]["leader"] == "two");
  MESSAGE("leader ended in order: longest gap ", to_milliseconds(writers.longest_gap()), " ms");
  REQUIRE(several.of("two").run_verb({"switchover", "test", "--yes"}).exit_status == 0);
  several.require_normal("one", "b");
  several.require_normal("two", "b");
  writers.stop();
  CHECK(writers.count_lost(several.of("one").conninfo()) == 0);
  static_cast<void>(most_route_errors_of_one(writers));
}

TEST_CASE(
    "pgkeel restart: each becomes a new process of the same member, and no session, no term and no connect is lost") {
  Several several;
  Writers writers(several.conninfo(), 2);
  REQUIRE(writers.wait_for_more(20));
  SqlConnection idle(several.of("two").conninfo());
  SqlConnection in_transaction(several.of("one").conninfo());
  in_transaction.query("BEGIN");
  several.server("a").query("CREATE TABLE copied (id int)");
  SqlConnection copying(several.of("one").conninfo());
  using Answer = std::unique_ptr<PGresult, decltype(&PQclear)>;
  REQUIRE(PQresultStatus(Answer(PQexec(copying.handle(), "COPY copied FROM STDIN"), PQclear).get()) == PGRES_COPY_IN);
  const auto term = several.of("two").status()["coordination"]["term"];
  std::vector<std::unique_ptr<Successor>> successors;
  for (const char* name : {"one", "two"}) {
    successors.push_back(std::make_unique<Successor>(several.of(name)));
    REQUIRE_MESSAGE(wait_serves(several.of(name), successors.back()->pid()), several.of(name).describe());
    several.require_normal(name, "a");
    REQUIRE(writers.wait_for_more(20));
  }
  // What stays in the old process for a while is carried by the lease that the new one renews.
  int copied = 0;
  for (const Instant end = monotonic_now() + 6s; monotonic_now() < end; ++copied) {
    REQUIRE(PQputCopyData(copying.handle(), "1\n", 2) == 1);
    REQUIRE(PQflush(copying.handle()) == 0);
    std::this_thread::sleep_for(20ms);
  }
  REQUIRE(PQputCopyEnd(copying.handle(), nullptr) == 1);
  const Answer copied_all(PQgetResult(copying.handle()), PQclear);
  CHECK_MESSAGE(PQresultStatus(copied_all.get()) == PGRES_COMMAND_OK, PQerrorMessage(copying.handle()));
  CHECK(several.server("a").value("SELECT count(*) FROM copied") == std::to_string(copied));
  for (const char* name : {"one", "two"}) CHECK_MESSAGE(wait_alone(several.of(name)), several.of(name).describe());
  in_transaction.query("COMMIT");
  CHECK(idle.value("SELECT 1") == "1");
  writers.stop();
  CHECK(writers.statement_errors().empty());
  CHECK(writers.connect_errors().empty());
  CHECK(writers.count_lost(several.of("two").conninfo()) == 0);
  const auto coordination = several.of("two").status()["coordination"];
  CHECK(coordination["leader"] == "one");
  CHECK(coordination["term"] == term);
  CHECK(several.of("one").status()["coordination"]["leads"] == true);
  several.require_normal("one", "a");
  const auto switchover = several.of("one").run_verb({"switchover", "test", "--yes"});
  REQUIRE_MESSAGE(switchover.exit_status == 0, switchover.output, switchover.error_output,
                  several.of("one").describe());
  several.require_normal("one", "b");
  several.require_normal("two", "b");
}

TEST_CASE("one that is ended behind its restart keeps its lease until no session is left in the former process") {
  const TemporaryFolder folder;
  const TestCertificates tls(folder.path());
  Several several({tls.client_tls("allow")});
  SqlConnection told(several.of("two").conninfo("sslmode=require"));
  told.query("BEGIN");
  Successor of_two(several.of("two"));
  REQUIRE_MESSAGE(wait_serves(several.of("two"), of_two.pid()), several.of("two").describe());
  ::kill(of_two.pid(), SIGTERM);
  REQUIRE(wait_until([&] { return !has_lease("two", several.of("one")); }));
  try {
    told.query("SELECT 1");
    CHECK_MESSAGE(false, "a session is left");
  } catch (const SqlError& error) {
    CHECK((error.sqlstate.empty() ? error.notice_sqlstate : error.sqlstate) == "57P01");
  }
  CHECK(wait_until([&] { return !several.of("two").running() && !of_two.process().running(); }));
  several.of("two").start();
  several.require_normal("two", "a");

  // One that does not obey is ended by force first.
  SqlConnection left_behind(several.of("one").conninfo("sslmode=require"));
  left_behind.query("BEGIN");
  Successor of_one(several.of("one"));
  REQUIRE_MESSAGE(wait_serves(several.of("one"), of_one.pid()), several.of("one").describe());
  ::kill(several.of("one").pid(), SIGSTOP);
  REQUIRE(wait_until([&] { return every_thread_stands_still(several.of("one").pid()); }));
  ::kill(of_one.pid(), SIGTERM);
  REQUIRE(wait_until([&] { return !has_lease("one", several.of("two")); }));
  CHECK_FALSE(several.of("one").running());
  REQUIRE_MESSAGE(wait_until([&] { return several.of("two").status()["coordination"]["leads"] == true; }),
                  several.of("two").describe());
}

TEST_CASE("a leader that was frozen for longer than its lease writes nothing when it wakes up") {
  Several several;
  several.server("a").query("CREATE TABLE late (id int)");
  for (const auto& server : several.servers) {
    server->query("ALTER SYSTEM SET log_statement = 'all'");
    server->query("SELECT pg_reload_conf()");
  }
  const std::string orders_of_one =
      "SELECT count(*) FROM pg_stat_activity WHERE application_name LIKE 'pgkeel term % of one'";
  for (const auto& server : several.servers) REQUIRE(wait_until([&] { return server->value(orders_of_one) != "0"; }));
  SqlConnection frozen(several.of("one").conninfo());
  REQUIRE(frozen.value("SELECT 1") == "1");
  ::kill(several.of("one").pid(), SIGSTOP);
  REQUIRE(wait_until([&] { return every_thread_stands_still(several.of("one").pid()); }));
  // It arrives at the frozen process, and waits in its socket.
  REQUIRE(PQsendQuery(frozen.handle(), "INSERT INTO late VALUES (1)") == 1);
  REQUIRE(wait_until([&] { return several.of("two").log_text().find("pgkeel two leads") != std::string::npos; }));
  REQUIRE(several.server("a").value("SELECT count(*) FROM late") == "0");
  // The sessions of its orders end before the next leader gives its first.
  REQUIRE(several.of("two").run_verb({"switchover", "test", "--yes"}).exit_status == 0);
  for (const auto& server : several.servers) CHECK(server->value(orders_of_one) == "0");
  for (const std::string node : {"a", "b"})
    CHECK_MESSAGE(several.of("two").log_text().find(node + ": ended 1 session of earlier orders") != std::string::npos,
                  several.of("two").log_text());
  std::map<std::string, std::size_t> logged;
  for (const auto& server : several.servers) logged[server->name()] = server->log_text().size();
  ::kill(several.of("one").pid(), SIGCONT);
  const std::unique_ptr<PGresult, decltype(&PQclear)> result(PQgetResult(frozen.handle()), PQclear);
  CHECK(PQresultStatus(result.get()) == PGRES_FATAL_ERROR);
  const std::string told = PQerrorMessage(frozen.handle());
  CHECK_MESSAGE(told.find("lease") != std::string::npos, told);
  CHECK(several.server("b").value("SELECT count(*) FROM late") == "0");
  several.require_normal("one", "b");
  several.require_normal("two", "b");
  for (const auto& server : several.servers)
    CHECK(orders_in(server->log_text().substr(logged[server->name()]), "of one") == "");
}

TEST_CASE("etcd away: both go on by each other's promises; with one of them gone too, the other stops in time") {
  Several several;
  Writers writers(several.conninfo(), 2);
  REQUIRE(writers.wait_for_more(20));
  several.etcd.freeze();
  const Instant frozen_at = monotonic_now();
  REQUIRE(wait_until([&] { return monotonic_now() > frozen_at + 12s; }));  // three leases
  CHECK(writers.statement_errors().empty());
  CHECK(writers.connect_errors().empty());
  several.of("one").kill();
  REQUIRE_MESSAGE(wait_until([&] {
                    return several.of("two").log_text().find("has not renewed its lease in time") != std::string::npos;
                  }),
                  several.of("two").describe());
  several.etcd.thaw();
  several.require_normal("two", "a");
  REQUIRE_MESSAGE(writers.wait_for_more(20), several.of("two").describe());
  writers.stop();
  MESSAGE("etcd and one pgkeel away: longest gap ", to_milliseconds(writers.longest_gap()), " ms");
  CHECK(writers.count_lost(several.of("two").conninfo()) == 0);
}
