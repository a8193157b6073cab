// What a proxy costs: throughput, its CPU time, its memory and the latency that it adds, beside a direct connection, a
// pump that parses nothing and other proxies, in the same rounds. Prints JSON; progress, and a table, go to standard
// error.
#include <algorithm>
#include <cstdio>
#include <iostream>
#include <map>
#include <stdexcept>
#include <sys/resource.h>
#include <thread>
#include <vector>

#include <CLI/CLI.hpp>
#include <nlohmann/json.hpp>

#include "proxy/io/child_process.h"
#include "tests/bench/workloads.h"

namespace {

using namespace pgkeel;
using namespace pgkeel::test;
using namespace std::chrono_literals;
using Json = nlohmann::ordered_json;

struct Options {
  int rounds = 3;
  int seconds = 5;
  std::vector<std::string> only;
  std::vector<std::string> targets;
  std::vector<std::string> beside;
};

// By target: its figures in each round.
using Rounds = std::map<std::string, std::vector<Figures>>;

double median(std::vector<double> values) {
  std::ranges::sort(values);
  const std::size_t middle = values.size() / 2;
  return values.size() % 2 == 1 ? values[middle] : (values[middle - 1] + values[middle]) / 2;
}

bool is_throughput(const std::string& figure) {
  return figure == "tps" || figure == "megabytes_per_second";
}

// Medians over the rounds; what is said relative to another target is a median of each round's own comparison.
Json summary(const Rounds& rounds, const std::string& target) {
  const auto& own = rounds.at(target);
  Json json;
  const auto compare = [&](const std::string& other, const std::string& figure, const auto& with) {
    std::vector<double> values;
    for (std::size_t round = 0; round < own.size(); ++round)
      values.push_back(with(own[round].at(figure), rounds.at(other)[round].at(figure)));
    return median(values);
  };
  const auto ratio = [](double mine, double theirs) { return mine / theirs; };
  const auto has = [&](const std::string& other, const std::string& figure) {
    return other != target && rounds.contains(other) && rounds.at(other).front().contains(figure);
  };
  for (const auto& [figure, first] : own.front()) {
    json[figure] = compare(target, figure, [](double mine, double) { return mine; });
    if (has("direct", figure) && is_throughput(figure)) json[figure + "_of_direct"] = compare("direct", figure, ratio);
    if (has("direct", figure) && figure.ends_with("_us"))
      json["added_" + figure] = compare("direct", figure, [](double mine, double theirs) { return mine - theirs; });
    if (has(BenchTargets::kPumpName, figure) && !figure.ends_with("_us"))
      json[figure + "_of_pump"] = compare(BenchTargets::kPumpName, figure, ratio);
  }
  return json;
}

void print_table(const Json& report) {
  std::fprintf(stderr, "\n%-16s %-10s %12s %10s %12s %8s %22s\n", "workload", "", "tps or MB/s", "of direct", "CPU s *",
               "of pump", "added p50/p99/p99.9 us");
  for (const auto& [workload, targets] : report["workloads"].items()) {
    for (const auto& [target, figures] : targets.items()) {
      const auto value = [&figures = figures](std::initializer_list<const char*> names) {
        for (const char* name : names) {
          if (figures.contains(name)) return figures[name].template get<double>();
        }
        return 0.0;
      };
      if (figures.contains("memory_bytes_per_session")) {
        std::fprintf(stderr, "%-16s %-10s %12.0f bytes per session\n", workload.c_str(), target.c_str(),
                     value({"memory_bytes_per_session"}));
        continue;
      }
      std::fprintf(stderr, "%-16s %-10s %12.0f %10.2f %12.2f %8.2f %8.0f %6.0f %6.0f\n", workload.c_str(),
                   target.c_str(), value({"tps", "megabytes_per_second"}),
                   value({"tps_of_direct", "megabytes_per_second_of_direct"}),
                   value({"cpu_seconds_per_100000", "cpu_seconds_per_gigabyte"}),
                   value({"cpu_seconds_per_100000_of_pump", "cpu_seconds_per_gigabyte_of_pump"}),
                   value({"added_latency_p50_us", "added_connect_us"}), value({"added_latency_p99_us"}),
                   value({"added_latency_p999_us"}));
    }
  }
  std::fprintf(stderr, "* of the proxy, for 100,000 transactions or for a gigabyte\n");
}

// Of "PROGRAM", "workers=N" or "PROGRAM,workers=N", which is its name too, without folders.
PgkeelBeside parse_beside(const std::string& text) {
  const std::size_t workers = text.find("workers=");
  PgkeelBeside beside{.name = text.substr(text.find_last_of('/') + 1), .program = text.substr(0, text.find(','))};
  if (workers == 0) beside.program.clear();
  if (workers != std::string::npos) beside.proxy_lines = {"workers = " + text.substr(workers + 8)};
  return beside;
}

int run(const Options& options) {
  const auto chosen = workloads(options.only);
  if (chosen.empty()) throw std::runtime_error("there is no such workload");
  int most_clients = 0;
  for (const auto& workload : chosen) most_clients = std::max(most_clients, workload.clients);
  std::vector<PgkeelBeside> beside;
  for (const auto& text : options.beside) beside.push_back(parse_beside(text));
  const BenchTargets targets(static_cast<unsigned>(most_clients) + 100, beside, options.targets);
  const auto made = run_checked(
      {.arguments = {bin_directory() + "/pgbench", "--initialize", "--scale=10", "--quiet", "--host=127.0.0.1",
                     "--port=" + std::to_string(targets.server().port()), "--username=postgres", "postgres"},
       .limit = 5min});
  if (!made) throw std::runtime_error(made.error().message);
  targets.server().query("GRANT SELECT ON ALL TABLES IN SCHEMA public TO scram");

  std::map<std::string, Rounds> results;
  std::map<std::string, std::string> failed;  // by workload; the others go on
  const auto& all = targets.all();
  for (int round = 0; round < options.rounds; ++round) {
    for (const auto& workload : chosen) {
      if ((workload.once() && round > 0) || failed.contains(workload.name)) continue;
      // Each target is first in turn: what the machine does besides meets all of them.
      for (std::size_t turn = 0; turn < all.size() && !failed.contains(workload.name); ++turn) {
        const auto& target = all[(turn + static_cast<std::size_t>(round)) % all.size()];
        if (!workload.runs_on(target)) continue;
        try {
          results[workload.name][target.name].push_back(run_workload(targets, target, workload, options.seconds));
        } catch (const std::exception& error) {
          failed[workload.name] = target.name + ": " + error.what();
          results.erase(workload.name);
        }
      }
      std::cerr << "round " << round + 1 << " of " << options.rounds << ": " << workload.name
                << (failed.contains(workload.name) ? " failed with " + failed[workload.name] : "") << "\n";
    }
  }

  Json report = {
      {"rounds", options.rounds}, {"seconds", options.seconds}, {"processors", std::thread::hardware_concurrency()}};
  for (const auto& target : all) {
    if (!target.version.empty()) report["versions"][target.name] = target.version;
  }
  for (const auto& workload : chosen) {
    const Rounds& rounds = results[workload.name];
    for (const auto& target : all) {
      if (rounds.contains(target.name)) report["workloads"][workload.name][target.name] = summary(rounds, target.name);
    }
  }
  if (!failed.empty()) report["failed"] = failed;
  print_table(report);
  std::cout << report.dump(2, ' ', false, Json::error_handler_t::replace) << "\n";
  return failed.empty() ? 0 : 1;
}

// Thousands of idle clients take a descriptor each.
void raise_descriptor_limit() {
  rlimit limit{};
  getrlimit(RLIMIT_NOFILE, &limit);
  limit.rlim_cur = limit.rlim_max;
  setrlimit(RLIMIT_NOFILE, &limit);
}

}  // namespace

int main(int argument_count, char** arguments) {
  Options options;
  CLI::App app("What a proxy costs: direct, pgkeel, a bare pump, HAProxy and PgBouncer beside each other");
  app.add_option("--rounds", options.rounds, "how often each workload is run with each of them")
      ->check(CLI::PositiveNumber)
      ->capture_default_str();
  app.add_option("--seconds", options.seconds, "how long each run is")
      ->check(CLI::PositiveNumber)
      ->capture_default_str();
  app.add_option(
         "--only", options.only,
         "workloads whose names begin so, separated by commas: simple, extended, prepared, connect, copy, tls, idle")
      ->delimiter(',');
  app.add_option(
         "--targets", options.targets,
         "which of pgkeel, pump, haproxy and pgbouncer are compared with the direct connection, separated by commas")
      ->delimiter(',')
      ->check(CLI::IsMember({"pgkeel", BenchTargets::kPumpName, "haproxy", "pgbouncer"}));
  app.add_option("--beside", options.beside,
                 "one more pgkeel in the same rounds: PROGRAM (another build), workers=N, or both: PROGRAM,workers=N");
  CLI11_PARSE(app, argument_count, arguments);
  raise_descriptor_limit();
  try {
    return run(options);
  } catch (const std::exception& error) {
    std::cerr << "throughput_bench: " << error.what() << "\n";
    return 1;
  }
}
