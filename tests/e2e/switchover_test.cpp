// Planned changes of the primary on real servers: what clients see, what becomes of both nodes, what happens where it
// goes wrong.
#include <algorithm>
#include <fstream>
#include <functional>
#include <iterator>
#include <thread>

#include "proxy/io/background_process.h"
#include "tests/e2e/agent_fixture.h"
#include "tests/e2e/cluster_fixture.h"
#include "tests/e2e/route_errors.h"
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

std::size_t count(const std::string& text, const std::string& words) {
  std::size_t found = 0;
  for (auto at = text.find(words); at != std::string::npos; at = text.find(words, at + 1)) ++found;
  return found;
}

std::string event_with(const PgkeelProcess& pgkeel, const std::string& words) {
  std::string found;
  for (const auto& event : pgkeel.events()) {
    const std::string text = event.value("text", "");
    if (text.find(words) != std::string::npos) found = text;
  }
  return found;
}

// pgbench with fifty clients, until its clients are ended.
class Load {
 public:
  Load(const std::string& folder, std::uint16_t port, const std::function<bool()>& all_are_connected)
      : port_(port), output_file_(folder + "/pgbench.log") {
    run({"--initialize", "--scale=1", "--quiet"});
    while (process_->running()) std::this_thread::sleep_for(10ms);
    run({"--client=50", "--jobs=2", "--no-vacuum", "--time=600"});
    if (!wait_until(all_are_connected)) throw std::runtime_error("pgbench does not connect: " + output());
  }
  // Through the access point.
  explicit Load(const Cluster& cluster)
      : Load(cluster.folder.path(), cluster.pgkeel->port(),
             [&] { return cluster.pgkeel->status()["sessions"]["established"] >= 50; }) {}
  std::string output_when_ended() {
    CHECK(wait_until([&] { return !process_->running(); }));
    return output();
  }

 private:
  void run(const std::vector<std::string>& options) {
    std::vector<std::string> arguments = {bin_directory() + "/pgbench", "--host=127.0.0.1", "--username=postgres",
                                          "--port=" + std::to_string(port_)};
    arguments.insert(arguments.end(), options.begin(), options.end());
    arguments.emplace_back("postgres");
    auto started = BackgroundProcess::start(arguments, output_file_);
    if (!started) throw std::runtime_error(started.error().message);
    process_.reset();
    process_.emplace(std::move(*started));
  }
  [[nodiscard]] std::string output() const {
    std::ifstream file(output_file_);
    return {std::istreambuf_iterator<char>(file), {}};
  }

  const std::uint16_t port_;
  const std::string output_file_;
  std::optional<BackgroundProcess> process_;
};

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

// A clean stop of a primary with fifty clients of pgbench, whose commits wait for its standby, then the promotion of
// that, by hand: nobody waits for transactions, notices, decides or reconnects. Until the first INSERT there.
Duration floor_of_a_clean_stop_and_promotion() {
  TemporaryFolder folder;
  const auto primary = PostgresServer::primary(folder, "a");
  const auto standby = PostgresServer::standby_of(*primary, "b");
  primary->query("CREATE TABLE written (id bigint)");
  primary->query("ALTER SYSTEM SET synchronous_standby_names = 'b'");
  primary->query("SELECT pg_reload_conf()");
  const Load load(folder.path(), primary->port(), [&] {
    return primary->value("SELECT count(*) >= 50 FROM pg_stat_activity WHERE application_name = 'pgbench'") == "t";
  });
  SqlConnection connection(standby->conninfo());
  primary->query("CHECKPOINT");
  const Instant began = monotonic_now();
  primary->stop("fast");
  connection.query("SELECT pg_promote(false)");
  REQUIRE(wait_until([&] {
    try {
      connection.query("INSERT INTO written VALUES (1)");
      return true;
    } catch (const SqlError&) {
      return false;  // 25006 until the promotion is done
    }
  }));
  return monotonic_now() - began;
}

bool wait_for_phase(const PgkeelProcess& pgkeel, const std::string& phase) {
  return pgkeel.wait_for([&](const auto& now) { return now["phase"] == phase; });
}

}  // namespace

TEST_CASE("under pgbench a session sees one error at most, none when it connects, and nothing is lost") {
  Cluster cluster;
  const auto& pgkeel = *cluster.pgkeel;
  Load load(cluster);
  constexpr std::size_t kWriters = 8;
  Writers writers(pgkeel.conninfo(), kWriters);
  SqlConnection idle(pgkeel.conninfo());
  idle.query("SELECT 1");
  REQUIRE(writers.wait_for_more(50));

  check_done(pgkeel.run_verb({"switchover", "test", "--yes"}));
  REQUIRE_MESSAGE(writers.wait_for_more(50), pgkeel.describe());
  cluster.require_normal("b");
  writers.stop();
  CHECK(writers.count_lost(cluster.server("b").conninfo()) == 0);
  CHECK(writers.connect_errors().empty());
  CHECK(count_route_errors(writers) <= kWriters);
  const std::string output = load.output_when_ended();
  CAPTURE(output);
  CHECK(count(output, "aborted") >= 50);
  CHECK(count(output, "connection to server") == 0);
  CHECK_THROWS_AS(idle.query("SELECT 1"), SqlError);

  cluster.check_roles("b");
  CHECK(event_with(pgkeel, "rejoin a: done: a standby of b by start") != "");
  const auto status = pgkeel.status();
  CHECK(status["switchovers"] == 1);
  CHECK(status["failovers"] == 0);
  CHECK(status["orders"][0]["state"] == "done");
  const auto decisions = pgkeel.run_verb({"decisions", "test", "--json"});
  CHECK(decisions.output.find("\"kind\":\"switchover\"") != std::string::npos);
  CHECK(decisions.output.find("\"proven_lossless\":true") != std::string::npos);
}

// For a machine that has nothing else to do, where it is not skipped (--no-skip): with compilers beside it the machine
// is what is measured. Of three tries one has to do.
TEST_CASE("under pgbench the gap is that of a clean stop and a promotion of such servers, and half a second at most" *
          doctest::skip()) {
  Duration over_floor = Duration::max();
  for (int round = 0; round < 3 && over_floor > 500ms * kSlowdown; ++round) {
    const Duration floor = floor_of_a_clean_stop_and_promotion();
    Cluster cluster;
    Load load(cluster);
    Writers writers(cluster.pgkeel->conninfo(), 4);
    REQUIRE(writers.wait_for_more(50));
    check_done(cluster.pgkeel->run_verb({"switchover", "test", "--yes"}));
    REQUIRE_MESSAGE(writers.wait_for_more(50), cluster.pgkeel->describe());
    writers.stop();
    over_floor = std::min(over_floor, writers.longest_gap() - floor);
    MESSAGE("floor ", to_milliseconds(floor), " ms, gap ", to_milliseconds(writers.longest_gap()), " ms");
  }
  CHECK(over_floor <= 500ms * kSlowdown);
}

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
