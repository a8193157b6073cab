// pgkeel is restarted in place, again and again, under clients that connect and clients that stay.
#include <array>
#include <atomic>
#include <csignal>
#include <fstream>
#include <iterator>
#include <mutex>
#include <poll.h>
#include <thread>

#include <libpq-fe.h>

#include "proxy/io/child_process.h"
#include "proxy/io/detached_process.h"
#include "tests/e2e/cluster_fixture.h"
#include "tests/support/peer.h"
#include "tests/support/sql_connection.h"
#include "tests/support/successor.h"
#include "tests/support/test_certificates.h"

using namespace pgkeel;
using namespace pgkeel::test;
using namespace std::chrono_literals;
using Json = nlohmann::json;

namespace {

// Clients that connect, ask one thing and go, one behind the other.
class ConnectStorm {
 public:
  ConnectStorm(std::string conninfo, int clients) : conninfo_(std::move(conninfo)) {
    for (int i = 0; i < clients; ++i) threads_.emplace_back([this] { run(); });
  }
  ~ConnectStorm() { stop(); }

  void stop() {
    stopping_ = true;
    for (auto& thread : threads_) thread.join();
    threads_.clear();
  }
  [[nodiscard]] std::uint64_t connected() const { return connected_; }
  [[nodiscard]] std::string first_failure() {
    const std::lock_guard lock(mutex_);
    return first_failure_;
  }

 private:
  void run() {
    while (!stopping_) {
      PGconn* connection = PQconnectdb(conninfo_.c_str());
      PGresult* result = PQexec(connection, "select 1");
      if (PQresultStatus(result) == PGRES_TUPLES_OK) {
        ++connected_;
      } else {
        const std::lock_guard lock(mutex_);
        if (first_failure_.empty()) first_failure_ = PQerrorMessage(connection);
      }
      PQclear(result);
      PQfinish(connection);
    }
  }

  const std::string conninfo_;
  std::atomic<bool> stopping_{false};
  std::atomic<std::uint64_t> connected_{0};
  std::mutex mutex_;  // guards first_failure_
  std::string first_failure_;
  std::vector<std::thread> threads_;
};

ProgramResult pgbench(const PgkeelProcess& pgkeel, std::vector<std::string> arguments) {
  arguments.insert(arguments.begin(), bin_directory() + "/pgbench");
  auto result = run_program({.arguments = std::move(arguments),
                             .limit = 4min,
                             .environment = {"PGHOST=127.0.0.1", "PGPORT=" + std::to_string(pgkeel.port()),
                                             "PGUSER=postgres", "PGDATABASE=postgres", "LC_ALL=C"}});
  if (!result) throw std::runtime_error(result.error().message);
  return *result;
}

std::string text_of(const std::string& path) {
  std::ifstream file(path);
  return {std::istreambuf_iterator<char>(file), {}};
}

// All of them.
std::string replaced(std::string text, const std::string& what, const std::string& by) {
  for (std::size_t at = 0; (at = text.find(what, at)) != std::string::npos; at += by.size())
    text.replace(at, what.size(), by);
  return text;
}

}  // namespace

TEST_CASE("ten restarts under load: nobody is refused, no session in clear hears of it") {
  Cluster cluster;
  PgkeelProcess& pgkeel = *cluster.pgkeel;
  REQUIRE(pgbench(pgkeel, {"-i", "-s", "1", "-q"}).exit_status == 0);
  ConnectStorm storm(pgkeel.conninfo(), 2);
  Writers writers(pgkeel.conninfo(), 2);
  ProgramResult bench;
  std::thread bench_thread([&] { bench = pgbench(pgkeel, {"-n", "-c", "10", "-R", "200", "-T", "8"}); });
  SqlConnection in_transaction(pgkeel.conninfo());
  in_transaction.query("begin");
  in_transaction.query("create temporary table kept as select 42 as answer");
  in_transaction.query("declare rows cursor for select * from generate_series(1, 1000)");

  std::vector<std::unique_ptr<Successor>> processes;
  for (int restart = 1; restart <= 10; ++restart) {
    CAPTURE(restart);
    CHECK_MESSAGE(pgkeel.wait_normal("a"), pgkeel.describe());
    processes.push_back(std::make_unique<Successor>(pgkeel));
    const bool serves = wait_serves(pgkeel, processes.back()->pid());
    CHECK_MESSAGE(serves, pgkeel.describe());
    if (!serves) break;
    CHECK(in_transaction.value("fetch rows") == std::to_string(restart));
  }
  CHECK(in_transaction.value("select answer from kept") == "42");
  in_transaction.query("commit");
  bench_thread.join();
  storm.stop();
  writers.stop();
  CHECK_MESSAGE(bench.exit_status == 0, bench.output << bench.error_output << pgkeel.describe());
  CHECK(storm.first_failure() == "");
  CHECK(storm.connected() > 100);
  CHECK(writers.statement_errors().empty());
  CHECK(writers.connect_errors().empty());
  CHECK(writers.count_lost(cluster.server("a").conninfo()) == 0);
  MESSAGE("connects through ten restarts: " << storm.connected() << ", rows: " << writers.acknowledged()
                                            << ", longest gap between two of these: "
                                            << format_duration(writers.longest_gap()));
  // Nothing stayed behind.
  CHECK(wait_alone(pgkeel));
  CHECK(wait_until([&] { return !pgkeel.running(); }));
  for (std::size_t i = 0; i + 1 < processes.size(); ++i)
    CHECK(wait_until([&] { return !processes[i]->process().running(); }));
}

TEST_CASE("a new process that cannot serve leaves the old one as it is") {
  Cluster cluster;
  PgkeelProcess& pgkeel = *cluster.pgkeel;
  SqlConnection session(pgkeel.conninfo());
  const std::string good = text_of(pgkeel.config_file());
  const auto failures = [&] { return process_of(pgkeel).value("handovers_failed", -1); };

  std::ofstream(pgkeel.config_file()) << good << "\nnonsense = 1\n";
  const VerbResult refused = pgkeel.run_verb({"restart"});
  CHECK(refused.exit_status == 1);
  Successor wrong(pgkeel);
  CHECK(wait_until([&] { return !wrong.process().running(); }));
  CHECK(failures() == 0);  // it never came so far as to ask

  // One that fails later: its access point is somebody else's.
  const PeerListener other;
  const std::string taken = replaced(good, std::to_string(pgkeel.port()), std::to_string(other.port()));
  std::ofstream(pgkeel.config_file()) << taken;
  Successor late(pgkeel);
  CHECK(wait_until([&] { return !late.process().running(); }));
  CHECK(wait_until([&] { return failures() == 1; }));

  // And one that fails last: it lacks the cluster whose sessions it was given.
  const std::string elsewhere = replaced(good, std::to_string(pgkeel.port()), std::to_string(free_port()));
  std::ofstream(pgkeel.config_file()) << replaced(elsewhere, "cluster.test", "cluster.other");
  Successor last(pgkeel);
  CHECK(wait_until([&] { return !last.process().running(); }));
  CHECK(wait_until([&] { return failures() == 2; }));

  std::ofstream(pgkeel.config_file()) << good;
  CHECK(process_of(pgkeel)["pid"] == pgkeel.pid());
  CHECK_MESSAGE(pgkeel.wait_normal("a"), pgkeel.describe());
  CHECK(session.value("select 1") == "1");
  CHECK(SqlConnection(pgkeel.conninfo()).value("select 1") == "1");
}

TEST_CASE("pgkeel restart: the process starts its successor itself, and the verb says which it is") {
  Cluster cluster;
  PgkeelProcess& pgkeel = *cluster.pgkeel;
  SqlConnection session(pgkeel.conninfo());
  const VerbResult verb = pgkeel.run_verb({"restart"});
  const auto pid = process_of(pgkeel).value("pid", 0);
  struct End {
    explicit End(pid_t pid) : handle(open_process(pid)) {}
    ~End() {
      if (handle) kill_process(*handle);
    }
    Result<Descriptor> handle;
  };
  const End end(pid == pgkeel.pid() ? 0 : pid);
  CHECK_MESSAGE(verb.exit_status == 0, verb.error_output << pgkeel.describe());
  CHECK_MESSAGE(verb.output.find("serves as process " + std::to_string(pid)) != std::string::npos, verb.output);
  CHECK(pid != pgkeel.pid());
  CHECK(session.value("select 1") == "1");
  CHECK(wait_until([&] { return !pgkeel.running(); }));
}

TEST_CASE("a session in TLS stays where it is, and ends with one 57P01 behind its transaction") {
  const TemporaryFolder folder;
  const TestCertificates certificates(folder.path());
  Cluster cluster({"b"}, {.cluster_lines = {certificates.client_tls("allow")}});
  PgkeelProcess& pgkeel = *cluster.pgkeel;
  SqlConnection encrypted(pgkeel.conninfo("sslmode=require"));
  encrypted.query("begin");
  Successor next(pgkeel);
  REQUIRE(wait_serves(pgkeel, next.pid()));
  CHECK(encrypted.value("select 1") == "1");
  encrypted.query("commit");
  CHECK(encrypted.next_error() == "57P01");
  CHECK(wait_until([&] { return !pgkeel.running(); }));
  CHECK(wait_alone(pgkeel));
}

TEST_CASE("sessions of the read-only endpoint stay at their standby through a restart, and end with its promotion") {
  const TemporaryFolder folder;
  const TestCertificates certificates(folder.path());
  const std::string port = std::to_string(free_port());
  Cluster cluster(
      {"b"}, {.cluster_lines = {"listen_read_only = \"127.0.0.1:" + port + "\"", certificates.client_tls("allow")}});
  PgkeelProcess& pgkeel = *cluster.pgkeel;
  const std::string reads = "host=127.0.0.1 user=postgres dbname=postgres connect_timeout=60 port=" + port;
  REQUIRE_MESSAGE(pgkeel.wait_for([](const Json& now) { return now["read_only"]["nodes"][1]["takes_new"] == true; }),
                  pgkeel.describe());
  SqlConnection clear(reads + " sslmode=disable");
  SqlConnection encrypted(reads + " sslmode=require");
  REQUIRE(clear.value("show cluster_name") == "b");
  encrypted.query("begin");
  Successor next(pgkeel);
  REQUIRE(wait_serves(pgkeel, next.pid()));

  // It leads to the standby from the first moment on: what the former process knew of b holds.
  CHECK(SqlConnection(reads).value("show cluster_name") == "b");
  CHECK(clear.value("show cluster_name") == "b");
  CHECK(encrypted.value("show cluster_name") == "b");
  CHECK(wait_until([&] { return pgkeel.status()["read_only"]["nodes"][1]["sessions"] == 1; }));
  CHECK(wait_until([&] { return pgkeel.status()["draining_sessions"] == 1; }));

  REQUIRE_MESSAGE(pgkeel.wait_normal("a"), pgkeel.describe());
  const VerbResult promoted = pgkeel.run_verb({"failover", "test", "--yes"});
  CHECK_MESSAGE(promoted.exit_status == 0, promoted.error_output << pgkeel.describe());
  CHECK(clear.next_error() == "57P01");
  CHECK(encrypted.next_error() == "57P01");
  CHECK(wait_alone(pgkeel));
}

TEST_CASE("a failover right behind a handover ends the sessions of former processes before the promotion") {
  const TemporaryFolder folder;
  const TestCertificates certificates(folder.path());
  Cluster cluster({"b"}, {.cluster_lines = {certificates.client_tls("allow")}});
  PgkeelProcess& pgkeel = *cluster.pgkeel;
  const std::string require = pgkeel.conninfo("sslmode=require");
  SqlConnection in_first(require);
  Successor second(pgkeel);
  REQUIRE(wait_serves(pgkeel, second.pid()));
  SqlConnection in_second(require);
  SqlConnection clear(pgkeel.conninfo("sslmode=disable"));
  REQUIRE_MESSAGE(pgkeel.wait_normal("a"), pgkeel.describe());
  Successor third(pgkeel);
  REQUIRE(wait_serves(pgkeel, third.pid()));
  CHECK(wait_until([&] { return pgkeel.status()["draining_sessions"] == 2; }));
  const VerbResult shown = pgkeel.run_verb({"status"});
  CHECK_MESSAGE(shown.output.find("2 clients are left in a former process") != std::string::npos, shown.output);

  // One of the two obeys, the other hears nothing, and has to be ended.
  REQUIRE(pgkeel.wait_normal("a"));
  ::kill(second.pid(), SIGSTOP);
  std::thread order([&] { static_cast<void>(pgkeel.run_verb({"failover", "test", "--yes"})); });
  const bool promoted = wait_until([&] { return cluster.server("b").is_primary(); });
  CHECK(in_first.has_heard());
  CHECK_FALSE(second.process().running());
  CHECK(clear.has_heard());
  order.join();
  CHECK_MESSAGE(promoted, pgkeel.describe());
  CHECK(in_first.next_error() == "57P01");
  CHECK(clear.next_error() == "57P01");
  CHECK(in_second.next_error() == "");  // nobody was left to tell it
  CHECK(wait_alone(pgkeel));
  CHECK(SqlConnection(pgkeel.conninfo()).value("select 1") == "1");
}

TEST_CASE("a former process that hangs does not outlive the one that took over from it") {
  const TemporaryFolder folder;
  const TestCertificates certificates(folder.path());
  Cluster cluster({"b"}, {.cluster_lines = {certificates.client_tls("allow")}});
  PgkeelProcess& pgkeel = *cluster.pgkeel;
  SqlConnection left_behind(pgkeel.conninfo("sslmode=require"));
  left_behind.query("begin");
  const auto first_pid = pgkeel.pid();
  Successor second(pgkeel);
  REQUIRE(wait_serves(pgkeel, second.pid()));
  ::kill(first_pid, SIGSTOP);
  ::kill(second.pid(), SIGKILL);
  REQUIRE(wait_until([&] { return !second.process().running(); }));

  // It could not hear that its successor died, and would go on with its session when it wakes up.
  Successor third(pgkeel);
  REQUIRE_MESSAGE(wait_serves(pgkeel, third.pid()), pgkeel.describe());
  CHECK_FALSE(pgkeel.running());
  CHECK(left_behind.next_error() == "");
  CHECK_MESSAGE(pgkeel.wait_normal("a"), pgkeel.describe());
  CHECK(SqlConnection(pgkeel.conninfo()).value("select 1") == "1");
}

TEST_CASE("either process is killed during the handover: one that is left decides, and clients connect") {
  Cluster cluster;
  PgkeelProcess& pgkeel = *cluster.pgkeel;
  std::unique_ptr<Successor> serving;
  const auto process_of_serving = [&]() -> BackgroundProcess& {
    return serving ? serving->process() : pgkeel.process();
  };
  // From when the new one is started; 0: from when the old one gives up what it has.
  constexpr std::array kMoments = {0ms, 0ms, 5ms, 15ms, 25ms, 40ms};
  for (const auto moment : kMoments) {
    for (const bool kill_old : {true, false}) {
      CAPTURE(moment.count());
      CAPTURE(kill_old);
      REQUIRE_MESSAGE(pgkeel.wait_normal("a"), pgkeel.describe());
      SqlConnection session(pgkeel.conninfo());
      auto next = std::make_unique<Successor>(pgkeel);
      const std::string gives_up = "process " + std::to_string(next->pid()) + " takes over";
      if (moment == 0ms) REQUIRE(wait_until([&] { return pgkeel.log_text().find(gives_up) != std::string::npos; }));
      std::this_thread::sleep_for(moment);
      ::kill(kill_old ? process_of_serving().pid() : next->pid(), SIGKILL);
      BackgroundProcess& left = kill_old ? next->process() : process_of_serving();
      const auto left_serves = [&] { return process_of(pgkeel).value("pid", 0) == left.pid(); };
      REQUIRE_MESSAGE(wait_until([&] { return left_serves() || !left.running(); }), pgkeel.describe());
      if (kill_old) {
        serving = std::move(next);
      } else if (!left.running()) {
        // The new one had everything already: what was left had nothing but sessions to end.
        CHECK(pgkeel.log_text().find("process " + std::to_string(next->pid()) + " serves") != std::string::npos);
        serving = std::make_unique<Successor>(pgkeel);
        REQUIRE_MESSAGE(wait_serves(pgkeel, serving->pid()), pgkeel.describe());
      }
      CHECK(SqlConnection(pgkeel.conninfo()).value("select 1") == "1");
    }
  }
  cluster.check_roles("a");
}
