// Measures the gap that a client sees when the primary fails, beside the floor of the same servers in the same run:
// what is left when nobody has to notice, decide or reconnect. Prints JSON.
//   failover_bench [ROUNDS]
#include <algorithm>
#include <cstdlib>
#include <iostream>
#include <map>
#include <memory>
#include <optional>
#include <random>
#include <thread>
#include <vector>

#include <nlohmann/json.hpp>

#include "proxy/io/clock.h"
#include "tests/support/agent_process.h"
#include "tests/support/pgkeel_process.h"

namespace {

using namespace pgkeel;
using namespace pgkeel::test;
using namespace std::chrono_literals;

double milliseconds(Duration duration) {
  return std::chrono::duration<double, std::milli>(duration).count();
}

struct Pair {
  TemporaryFolder folder;
  std::unique_ptr<PostgresServer> primary = PostgresServer::primary(folder, "a");
  std::unique_ptr<PostgresServer> standby = PostgresServer::standby_of(*primary, "b");
};

// One client of the access point that writes row after row, and connects again when it must.
class GapWriter {
 public:
  GapWriter(const Pair& pair, const PgkeelProcess& pgkeel)
      : pair_(pair), pgkeel_(pgkeel), connection_(std::make_unique<SqlConnection>(pgkeel.conninfo())) {
    connection_->query("CREATE TABLE written (id bigint)");
  }

  // From the last acknowledged row on the old primary to the first one on the new: it returns when that is written.
  double gap_ms() {
    Instant last{};
    while (true) {
      try {
        if (!connection_) connection_ = std::make_unique<SqlConnection>(pgkeel_.conninfo());
        connection_->query("INSERT INTO written VALUES (1)");
        const Instant now = monotonic_now();
        if (last != Instant{} && now - last > 8ms && pair_.standby->value("SELECT pg_is_in_recovery()") == "f")
          return milliseconds(now - last);
        last = now;
      } catch (const SqlError&) {
        connection_.reset();
      }
    }
  }

 private:
  const Pair& pair_;
  const PgkeelProcess& pgkeel_;
  std::unique_ptr<SqlConnection> connection_;
};

// The primary is killed and its standby told to promote in the same breath; until the first INSERT there.
double floor_ms() {
  Pair pair;
  pair.primary->query("CREATE TABLE written (id bigint)");
  if (!pair.primary->wait_caught_up("b")) throw std::runtime_error("b does not catch up");
  SqlConnection connection(pair.standby->conninfo());
  pair.primary->kill_tree();
  const Instant began = monotonic_now();
  connection.query("SELECT pg_promote(false)");
  while (true) {
    try {
      connection.query("INSERT INTO written VALUES (1)");
      return milliseconds(monotonic_now() - began);
    } catch (const SqlError&) {
      std::this_thread::sleep_for(500us);  // 25006 until the promotion is done
    }
  }
}

enum class Reach { kLocal, kAgent, kAddress };  // how pgkeel reaches the servers

// From the last acknowledged INSERT to the first one after the failure, through the access point.
double gap_ms(Reach reach, void (PostgresServer::*fail)(), std::mt19937& random) {
  Pair pair;
  PgkeelOptions options;
  options.local_nodes = reach == Reach::kLocal;
  std::optional<Certificates> certificates;
  std::vector<std::unique_ptr<AgentProcess>> agents;
  if (reach == Reach::kAgent) {
    certificates.emplace(pair.folder);
    for (const auto* server : {pair.primary.get(), pair.standby.get()}) {
      agents.push_back(std::make_unique<AgentProcess>(pair.folder, *server, *certificates));
      agents.back()->start();
      options.agents[server->name()] = agents.back()->access();
    }
  }
  PgkeelProcess pgkeel(pair.folder, {pair.primary.get(), pair.standby.get()}, options);
  pgkeel.start();
  if (!pgkeel.wait_normal("a")) throw std::runtime_error(pgkeel.describe());
  GapWriter writer(pair, pgkeel);
  std::thread killer([&] {
    // Between two probes, wherever the round falls.
    std::this_thread::sleep_for(std::chrono::milliseconds(std::uniform_int_distribution(300, 800)(random)));
    (*pair.primary.*fail)();
  });
  const double gap = writer.gap_ms();
  killer.join();
  pgkeel.terminate();
  return gap;
}

// A clean stop of the primary, then the promotion of its standby, by hand: no client in the way, and nobody to notice,
// decide or reconnect. A checkpoint was written before, as pgkeel has it done.
double clean_floor_ms() {
  Pair pair;
  pair.primary->query("CREATE TABLE written (id bigint)");
  if (!pair.primary->wait_caught_up("b")) throw std::runtime_error("b does not catch up");
  SqlConnection connection(pair.standby->conninfo());
  pair.primary->query("CHECKPOINT");
  const Instant began = monotonic_now();
  pair.primary->stop("fast");
  connection.query("SELECT pg_promote(false)");
  while (true) {
    try {
      connection.query("INSERT INTO written VALUES (1)");
      return milliseconds(monotonic_now() - began);
    } catch (const SqlError&) {
      std::this_thread::sleep_for(500us);  // 25006 until the promotion is done
    }
  }
}

double switchover_gap_ms() {
  Pair pair;
  PgkeelProcess pgkeel(pair.folder, {pair.primary.get(), pair.standby.get()}, {});
  pgkeel.start();
  if (!pgkeel.wait_normal("a")) throw std::runtime_error(pgkeel.describe());
  GapWriter writer(pair, pgkeel);
  VerbResult verb;
  std::thread orderer([&] { verb = pgkeel.run_verb({"switchover", "test", "--yes"}); });
  const double gap = writer.gap_ms();
  orderer.join();
  if (verb.exit_status != 0) throw std::runtime_error("switchover: " + verb.error_output);
  pgkeel.terminate();
  return gap;
}

nlohmann::json summary(std::vector<double> values) {
  std::ranges::sort(values);
  return {{"runs", values.size()},
          {"min_ms", values.front()},
          {"median_ms", values[values.size() / 2]},
          {"max_ms", values.back()},
          {"all_ms", values}};
}

}  // namespace

int main(int argument_count, char** arguments) {
  const int rounds = argument_count > 1 ? std::atoi(arguments[1]) : 5;
  if (rounds < 1) {
    std::cerr << "usage: failover_bench [ROUNDS]\n";
    return 2;
  }
  std::mt19937 random(1);
  std::map<std::string, std::vector<double>> results;
  for (int round = 0; round < rounds; ++round) {
    results["floor"].push_back(floor_ms());
    results["crash_local"].push_back(gap_ms(Reach::kLocal, &PostgresServer::kill_tree, random));
    results["crash_agent"].push_back(gap_ms(Reach::kAgent, &PostgresServer::kill_tree, random));
    results["crash_remote"].push_back(gap_ms(Reach::kAddress, &PostgresServer::kill_tree, random));
    results["hang_local"].push_back(gap_ms(Reach::kLocal, &PostgresServer::freeze_tree, random));
    results["clean_floor"].push_back(clean_floor_ms());
    results["switchover"].push_back(switchover_gap_ms());
    std::cerr << "round " << round + 1 << " of " << rounds << "\n";
  }
  nlohmann::ordered_json report;
  for (const char* name :
       {"floor", "crash_local", "crash_agent", "crash_remote", "hang_local", "clean_floor", "switchover"})
    report[name] = summary(results[name]);
  const double floor = report["floor"]["median_ms"];
  report["median_over_floor_ms"] = {
      {"crash_local", report["crash_local"]["median_ms"].get<double>() - floor},
      {"crash_agent", report["crash_agent"]["median_ms"].get<double>() - floor},
      {"crash_remote", report["crash_remote"]["median_ms"].get<double>() - floor},
      {"hang_local_beyond_failure_timeout", report["hang_local"]["median_ms"].get<double>() - floor - 3000},
      {"switchover_over_clean_floor",
       report["switchover"]["median_ms"].get<double>() - report["clean_floor"]["median_ms"].get<double>()}};
  std::cout << report.dump(2) << "\n";
}
