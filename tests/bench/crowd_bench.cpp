// What an access point does with a crowd. Prints JSON; progress goes to standard error. The exit status is 1 where
// something was lost, or refused, that must not be.
#include <algorithm>
#include <iostream>
#include <sys/resource.h>

#include <CLI/CLI.hpp>

#include "tests/bench/crowd_runs.h"

namespace {

using namespace pgkeel::test;

struct Run {
  const char* name;
  CrowdReport (*run)(const CrowdOptions&);
};
constexpr Run kRuns[] = {{"failover", run_failover}, {"flood", run_flood}, {"slow", run_slow_clients}};

int run(const CrowdOptions& options, const std::vector<std::string>& only) {
  nlohmann::ordered_json report;
  bool failed = false;
  for (const Run& each : kRuns) {
    if (!only.empty() && std::ranges::find(only, each.name) == only.end()) continue;
    std::cerr << each.name << " …\n";
    CrowdReport result = each.run(options);
    for (const auto& failure : result.failures) std::cerr << each.name << ": FAILED: " << failure << "\n";
    failed = failed || !result.failures.empty();
    result.figures["failures"] = result.failures;
    report[each.name] = std::move(result.figures);
  }
  std::cout << report.dump(2) << "\n";
  return failed ? 1 : 0;
}

}  // namespace

int main(int argument_count, char** arguments) {
  CrowdOptions options;
  std::vector<std::string> only;
  CLI::App app(
      "What an access point does with a crowd: sessions through a failover, a flood of connects, slow clients");
  app.add_option("--sessions", options.sessions, "that go through the failover; each is a PostgreSQL process")
      ->check(CLI::Range(2, 8000))
      ->capture_default_str();
  app.add_option("--login-rate", options.login_rate, "login_rate of pgkeel's configuration")
      ->check(CLI::PositiveNumber)
      ->capture_default_str();
  app.add_option("--connects", options.connects_per_second, "connects a second of the flood")
      ->check(CLI::PositiveNumber)
      ->capture_default_str();
  app.add_option("--slow-clients", options.slow_clients, "that say a byte a second")
      ->check(CLI::Range(1, 15000))
      ->capture_default_str();
  app.add_option("--seconds", options.seconds, "how long the flood and the slow clients go on")
      ->check(CLI::PositiveNumber)
      ->capture_default_str();
  app.add_option("--only", only, "failover, flood, slow; separated by commas")
      ->delimiter(',')
      ->check(CLI::IsMember({"failover", "flood", "slow"}));
  CLI11_PARSE(app, argument_count, arguments);
  rlimit limit{};
  getrlimit(RLIMIT_NOFILE, &limit);
  limit.rlim_cur = limit.rlim_max;
  setrlimit(RLIMIT_NOFILE, &limit);
  try {
    return run(options, only);
  } catch (const std::exception& error) {
    std::cerr << "crowd_bench: " << error.what() << "\n";
    return 1;
  }
}
