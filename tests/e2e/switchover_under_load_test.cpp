// What a switchover costs fifty clients of pgbench, and fifty more that connect again: errors, rows, and time, beside
// what a clean stop and a promotion by hand take on such servers under the same load.
#include <algorithm>
#include <filesystem>
#include <fstream>
#include <functional>
#include <iterator>
#include <thread>

#include "proxy/io/background_process.h"
#include "tests/e2e/cluster_fixture.h"
#include "tests/e2e/route_errors.h"
#include "tests/support/sql_connection.h"

using namespace pgkeel;
using namespace pgkeel::test;
using namespace std::chrono_literals;

namespace {

constexpr std::size_t kClients = 50;
constexpr std::size_t kWriters = 4;  // beside them; they connect again
constexpr int kRounds = 3;

std::size_t count(const std::string& text, const std::string& words) {
  std::size_t found = 0;
  for (auto at = text.find(words); at != std::string::npos; at = text.find(words, at + 1)) ++found;
  return found;
}

// pgbench until its clients are ended: it connects once, and gives up what is lost.
class Load {
 public:
  Load(const std::string& folder, std::uint16_t port, const std::function<bool()>& all_are_connected)
      : port_(port), folder_(folder + "/pgbench") {
    std::filesystem::remove_all(folder_);
    std::filesystem::create_directory(folder_);
    run({"--initialize", "--scale=1", "--quiet"});
    while (process_->running()) std::this_thread::sleep_for(10ms);
    run({"--client=" + std::to_string(kClients), "--jobs=2", "--no-vacuum", "--time=600", "--log",
         "--log-prefix=" + folder_ + "/transactions"});
    if (!wait_until(all_are_connected)) throw std::runtime_error("pgbench does not connect: " + output());
  }

  void wait_for_its_end() {
    CHECK(wait_until([&] { return !process_->running(); }));
  }
  [[nodiscard]] std::string output() const {
    std::ifstream file(folder_ + "/output");
    return {std::istreambuf_iterator<char>(file), {}};
  }
  // When each transaction was acknowledged; after its end.
  [[nodiscard]] std::vector<WallTime> acknowledged_at() const {
    std::vector<WallTime> times;
    for (const auto& entry : std::filesystem::directory_iterator(folder_)) {
      if (!entry.path().filename().string().starts_with("transactions")) continue;
      std::ifstream file(entry.path());
      std::uint64_t client = 0, number = 0, took = 0, script = 0;
      std::int64_t seconds = 0, microseconds = 0;
      while (file >> client >> number >> took >> script >> seconds >> microseconds)
        times.emplace_back(std::chrono::seconds(seconds) + std::chrono::microseconds(microseconds));
    }
    return times;
  }

 private:
  void run(const std::vector<std::string>& options) {
    std::vector<std::string> arguments = {bin_directory() + "/pgbench", "--host=127.0.0.1", "--username=postgres",
                                          "--port=" + std::to_string(port_)};
    arguments.insert(arguments.end(), options.begin(), options.end());
    arguments.emplace_back("postgres");
    auto started = BackgroundProcess::start(arguments, folder_ + "/output");
    if (!started) throw std::runtime_error(started.error().message);
    process_.reset();
    process_.emplace(std::move(*started));
  }

  const std::uint16_t port_;
  const std::string folder_;
  std::optional<BackgroundProcess> process_;
};

Duration longest_pause(std::vector<WallTime> times) {
  std::ranges::sort(times);
  Duration longest{};
  for (std::size_t i = 1; i < times.size(); ++i) longest = std::max<Duration>(longest, times[i] - times[i - 1]);
  return longest;
}

Duration median(std::vector<Duration> values) {
  std::ranges::sort(values);
  return values.at(values.size() / 2);
}

// A clean stop of a primary with such clients, whose commits wait for its standby too, then the promotion of that, by
// hand: nobody notices, decides or reconnects. From the last commit that was acknowledged to the first one after it.
Duration floor_of_a_clean_stop_and_promotion() {
  TemporaryFolder folder;
  const auto primary = PostgresServer::primary(folder, "a");
  const auto standby = PostgresServer::standby_of(*primary, "b");
  primary->query("CREATE TABLE written (id bigint)");
  primary->query("ALTER SYSTEM SET synchronous_standby_names = 'b'");
  primary->query("SELECT pg_reload_conf()");
  Load load(folder.path(), primary->port(), [&] {
    return primary->value("SELECT count(*) >= " + std::to_string(kClients) +
                          " FROM pg_stat_activity WHERE application_name = 'pgbench'") == "t";
  });
  SqlConnection connection(standby->conninfo());
  primary->query("CHECKPOINT");
  primary->stop("fast");
  connection.query("SELECT pg_promote(false)");
  WallTime written_at{};
  const bool written = wait_until([&] {
    while (written_at == WallTime{}) {
      try {
        connection.query("INSERT INTO written VALUES (1)");
        written_at = wall_now();
      } catch (const SqlError& error) {
        if (error.sqlstate != "25006") throw;  // until the promotion is done
        std::this_thread::sleep_for(1ms);
      }
    }
    return true;
  });
  REQUIRE(written);
  load.wait_for_its_end();
  const auto acknowledged = load.acknowledged_at();
  REQUIRE_FALSE(acknowledged.empty());
  return written_at - std::ranges::max(acknowledged);
}

struct Cost {
  Duration gap;           // last acknowledged commit of any client, first one after it
  Duration longest_wait;  // … of one that was between transactions, and so also waits for those of others to end
};

// One switchover under load: with all that may be asked of it.
Cost switch_over(const Cluster& cluster, const std::string& to, std::size_t writers_count) {
  const auto& pgkeel = *cluster.pgkeel;
  Load load(cluster.folder.path(), pgkeel.port(),
            [&] { return pgkeel.status()["sessions"]["established"] >= kClients; });
  Writers writers(pgkeel.conninfo(), writers_count);
  SqlConnection idle(pgkeel.conninfo());
  idle.query("SELECT 1");
  REQUIRE(writers.wait_for_more(50));

  const auto verb = pgkeel.run_verb({"switchover", "test", "--to", to, "--yes"});
  INFO(verb.output);
  INFO(verb.error_output);
  REQUIRE(verb.exit_status == 0);
  REQUIRE_MESSAGE(writers.wait_for_more(50), pgkeel.describe());
  writers.stop();
  cluster.require_normal(to);
  cluster.check_roles(to);

  CHECK(writers.count_lost(cluster.server(to).conninfo()) == 0);
  CHECK(writers.connect_errors().empty());
  CHECK(most_route_errors_of_one(writers) <= 1);
  load.wait_for_its_end();
  const std::string output = load.output();
  CAPTURE(output);
  CHECK(count(output, "aborted") >= kClients);
  CHECK(count(output, "connection to server") == 0);
  CHECK_THROWS_AS(idle.query("SELECT 1"), SqlError);

  const Now now = clocks_now();
  std::vector<WallTime> of_writers;
  for (const Instant at : writers.acknowledged_at()) of_writers.push_back(now.wall - (now.instant - at));
  std::vector<WallTime> of_all = load.acknowledged_at();
  of_all.insert(of_all.end(), of_writers.begin(), of_writers.end());
  return {longest_pause(of_all), longest_pause(of_writers)};
}

}  // namespace

TEST_CASE(
    "under pgbench a session sees one error at most, none when it connects, nothing is lost, and the gap is that of a "
    "clean stop and a promotion, and half a second at most") {
  Cluster cluster;
  const auto& pgkeel = *cluster.pgkeel;
  std::vector<Duration> floors;
  std::vector<Duration> gaps;
  for (int round = 0; round < kRounds; ++round) {
    floors.push_back(floor_of_a_clean_stop_and_promotion());
    const Cost cost = switch_over(cluster, round % 2 == 0 ? "b" : "a", kWriters);
    gaps.push_back(cost.gap);
    MESSAGE("floor ", to_milliseconds(floors.back()), " ms, gap ", to_milliseconds(cost.gap),
            " ms, a client between transactions waited ", to_milliseconds(cost.longest_wait), " ms");
  }
  // Fifty that all connect again.
  static_cast<void>(switch_over(cluster, kRounds % 2 == 0 ? "b" : "a", kClients));
  const std::string decisions = pgkeel.run_verb({"decisions", "test"}).output;
  CAPTURE(decisions);
  CHECK(median(gaps) <= median(floors) + 500ms * kSlowdown);

  const auto status = pgkeel.status();
  CHECK(status["switchovers"] == kRounds + 1);
  CHECK(status["failovers"] == 0);
  for (const auto& order : status["orders"]) CHECK(order["state"] == "done");
  const auto switchovers = pgkeel.decisions("switchover");
  REQUIRE(switchovers.size() == kRounds + 1);
  for (const auto& switchover : switchovers) CHECK(switchover["wal"]["proven_lossless"] == true);
  std::string rejoined;
  for (const auto& event : pgkeel.events()) {
    const std::string text = event.value("text", "");
    if (text.find("rejoin a: done: a standby of b by start") != std::string::npos) rejoined = text;
  }
  CHECK_FALSE(rejoined.empty());
}
