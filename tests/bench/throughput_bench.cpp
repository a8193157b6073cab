// What a proxy costs: throughput, its CPU time and the latency that it adds, beside a direct connection and other
// proxies in the same rounds. Prints JSON; progress goes to standard error.
//   throughput_bench [ROUNDS [SECONDS]]
#include <algorithm>
#include <filesystem>
#include <fstream>
#include <iostream>
#include <map>
#include <stdexcept>
#include <thread>
#include <vector>

#include <libpq-fe.h>
#include <nlohmann/json.hpp>

#include "proxy/io/child_process.h"
#include "proxy/io/clock.h"
#include "tests/bench/bench_targets.h"

namespace {

using namespace pgkeel;
using namespace pgkeel::test;
using namespace std::chrono_literals;
using Json = nlohmann::ordered_json;

// Name and value of each figure of one run.
using Figures = std::map<std::string, double>;

struct Workload {
  std::string name;
  std::vector<std::string> pgbench;  // its options; empty: COPY out
};

std::vector<Workload> workloads() {
  std::vector<Workload> list;
  for (const char* protocol : {"simple", "extended", "prepared"}) {
    for (const int clients : {1, 8, 50}) {
      list.push_back({std::string(protocol) + "_" + std::to_string(clients),
                      {"--select-only", std::string("--protocol=") + protocol, "--client=" + std::to_string(clients),
                       "--jobs=" + std::to_string(std::min(clients, 2))}});
    }
  }
  for (const int clients : {1, 8, 50}) {
    list.push_back({"connect_" + std::to_string(clients),
                    {"--select-only", "--connect", "--client=" + std::to_string(clients),
                     "--jobs=" + std::to_string(std::min(clients, 2))}});
  }
  list.push_back({"copy_out", {}});
  return list;
}

double number_behind(const std::string& text, const std::string& words) {
  const auto at = text.find(words);
  if (at == std::string::npos) throw std::runtime_error("pgbench did not say \"" + words + "\":\n" + text);
  return std::stod(text.substr(at + words.size()));
}

double median(std::vector<double> values) {
  std::ranges::sort(values);
  const std::size_t middle = values.size() / 2;
  return values.size() % 2 == 1 ? values[middle] : (values[middle - 1] + values[middle]) / 2;
}

// The third column of pgbench's log is the latency of a transaction, in microseconds.
std::vector<double> latencies_of(const std::string& folder) {
  std::vector<double> latencies;
  for (const auto& entry : std::filesystem::directory_iterator(folder)) {
    std::ifstream file(entry.path());
    double client = 0;
    double transaction = 0;
    for (double latency = 0; file >> client >> transaction >> latency;) {
      latencies.push_back(latency);
      file.ignore(1000, '\n');
    }
  }
  std::ranges::sort(latencies);
  return latencies;
}

Figures run_pgbench(const BenchTargets& targets, const BenchTarget& target, const Workload& workload, int seconds) {
  const std::string logs = targets.folder().path() + "/logs";
  std::filesystem::remove_all(logs);
  std::filesystem::create_directory(logs);
  std::vector<std::string> arguments = {bin_directory() + "/pgbench", "--no-vacuum", "--log", "--log-prefix=log",
                                        "--time=" + std::to_string(seconds)};
  arguments.insert(arguments.end(), workload.pgbench.begin(), workload.pgbench.end());
  const double cpu_before = target.proxy_cpu_seconds();
  const auto output = run_checked({.arguments = arguments,
                                   .limit = std::chrono::seconds(seconds) + 60s,
                                   .environment = {"PGHOST=127.0.0.1", "PGPORT=" + std::to_string(target.port),
                                                   "PGUSER=postgres", "PGDATABASE=postgres", "LC_ALL=C"},
                                   .working_directory = logs});
  if (!output) throw std::runtime_error(target.name + ": " + output.error().message);
  const double cpu = target.proxy_cpu_seconds() - cpu_before;
  if (output->find("number of failed transactions: 0 ") == std::string::npos)
    throw std::runtime_error(target.name + ": transactions failed:\n" + *output);

  const double transactions = number_behind(*output, "number of transactions actually processed: ");
  Figures figures = {{"tps", number_behind(*output, "\ntps = ")}};
  if (target.proxy) figures["proxy_cpu_seconds_per_100000"] = cpu / transactions * 100000;
  if (workload.name.starts_with("connect")) {
    figures["connect_us"] = number_behind(*output, "average connection time = ") * 1000;
    return figures;
  }
  const std::vector<double> latencies = latencies_of(logs);
  figures["latency_p50_us"] = latencies.at(latencies.size() / 2);
  figures["latency_p99_us"] = latencies.at(latencies.size() * 99 / 100);
  return figures;
}

Figures run_copy(const BenchTarget& target) {
  SqlConnection connection("host=127.0.0.1 user=postgres dbname=postgres port=" + std::to_string(target.port));
  const double cpu_before = target.proxy_cpu_seconds();
  const Instant began = monotonic_now();
  PQclear(PQexec(connection.handle(), "COPY (SELECT repeat('x', 1000) FROM generate_series(1, 1000000)) TO STDOUT"));
  double bytes = 0;
  char* row = nullptr;
  for (int size = 0; (size = PQgetCopyData(connection.handle(), &row, 0)) > 0; PQfreemem(row)) bytes += size;
  const double seconds = std::chrono::duration<double>(monotonic_now() - began).count();
  if (bytes != 1001.0 * 1000000) throw std::runtime_error(target.name + ": COPY ended early");
  Figures figures = {{"megabytes_per_second", bytes / 1e6 / seconds}};
  if (target.proxy)
    figures["proxy_cpu_seconds_per_gigabyte"] = (target.proxy_cpu_seconds() - cpu_before) / (bytes / 1e9);
  return figures;
}

// Medians over the rounds; what is said relative to direct is a median of each round's own comparison.
Json summary(const std::vector<Figures>& rounds, const std::vector<Figures>& direct_rounds) {
  Json json;
  const auto median_of = [&](const auto& value) {
    std::vector<double> values;
    for (std::size_t round = 0; round < rounds.size(); ++round)
      values.push_back(value(rounds[round], direct_rounds[round]));
    return median(values);
  };
  for (const auto& [name, first] : rounds.front()) {
    json[name] = median_of([key = name](const Figures& own, const Figures&) { return own.at(key); });
    if (&rounds == &direct_rounds) continue;
    if (name == "tps" || name == "megabytes_per_second")
      json[name + "_of_direct"] =
          median_of([key = name](const Figures& own, const Figures& direct) { return own.at(key) / direct.at(key); });
    if (name.ends_with("_us"))
      json["added_" + name] =
          median_of([key = name](const Figures& own, const Figures& direct) { return own.at(key) - direct.at(key); });
  }
  return json;
}

int run(int rounds, int seconds) {
  const BenchTargets targets;
  const auto made = run_checked(
      {.arguments = {bin_directory() + "/pgbench", "--initialize", "--scale=10", "--quiet", "--host=127.0.0.1",
                     "--port=" + std::to_string(targets.server().port()), "--username=postgres", "postgres"},
       .limit = 5min});
  if (!made) throw std::runtime_error(made.error().message);

  std::map<std::string, std::map<std::string, std::vector<Figures>>> results;
  const auto& all = targets.all();
  for (int round = 0; round < rounds; ++round) {
    for (const auto& workload : workloads()) {
      // Each target is first in turn: what the machine does besides meets all of them.
      for (std::size_t turn = 0; turn < all.size(); ++turn) {
        const auto& target = all[(turn + static_cast<std::size_t>(round)) % all.size()];
        results[workload.name][target.name].push_back(
            workload.pgbench.empty() ? run_copy(target) : run_pgbench(targets, target, workload, seconds));
      }
      std::cerr << "round " << round + 1 << " of " << rounds << ": " << workload.name << "\n";
    }
  }

  Json report = {{"rounds", rounds}, {"seconds", seconds}, {"processors", std::thread::hardware_concurrency()}};
  for (const auto& target : all) {
    if (!target.version.empty()) report["versions"][target.name] = target.version;
  }
  for (const auto& workload : workloads()) {
    auto& of_workload = results[workload.name];
    for (const auto& target : all)
      report["workloads"][workload.name][target.name] = summary(of_workload[target.name], of_workload["direct"]);
  }
  std::cout << report.dump(2) << "\n";
  return 0;
}

}  // namespace

int main(int argument_count, char** arguments) {
  const int rounds = argument_count > 1 ? std::atoi(arguments[1]) : 3;
  const int seconds = argument_count > 2 ? std::atoi(arguments[2]) : 5;
  if (rounds < 1 || seconds < 1 || argument_count > 3) {
    std::cerr << "usage: throughput_bench [ROUNDS [SECONDS]]\n";
    return 2;
  }
  try {
    return run(rounds, seconds);
  } catch (const std::exception& error) {
    std::cerr << "throughput_bench: " << error.what() << "\n";
    return 1;
  }
}
