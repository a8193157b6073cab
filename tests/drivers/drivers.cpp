// What applications see of a failover, with real drivers: README.md of this folder.
#include <csignal>
#include <cstdio>
#include <exception>
#include <filesystem>
#include <map>
#include <string>
#include <vector>

#include <CLI/CLI.hpp>
#include <fmt/format.h>

#include "tests/drivers/driver.h"
#include "tests/drivers/table.h"
#include "tests/drivers/trial.h"

using namespace pgkeel::test;

namespace {

constexpr int kSkipped = 77;  // as CTest's SKIP_RETURN_CODE

void show_answers(const Trial& trial) {
  for (const auto& applications : trial.applications()) {
    for (const auto& [what, reports] : applications.reports) {
      for (const auto& [state, answer] : reports)
        fmt::print(stderr, "{}, {}, {}: {}\n", applications.driver->name, what, key_of(state), answer.dump());
    }
    fmt::print(stderr, "{}, direct: {}\n", applications.driver->name, applications.direct_report.dump());
    for (const auto& [what, use] : applications.pool_uses)
      fmt::print(stderr, "{}, {}, pool: {}\n", applications.driver->name, what, use.dump());
  }
}

int run(const std::string& folder, const std::string& build_folder, const std::vector<std::string>& names,
        Encryption encryption, bool may_skip, bool show) {
  std::vector<Driver> drivers;
  for (const auto& name : names) {
    drivers.push_back(read_driver(folder + "/" + name));
    prepare(drivers.back(), build_folder);
  }
  std::vector<Driver*> present;
  int skipped = 0;
  for (auto& driver : drivers) {
    if (driver.skipped_because.empty()) {
      present.push_back(&driver);
      continue;
    }
    ++skipped;
    fmt::print(stderr, "SKIPPED: {}: {}\n", driver.name, driver.skipped_because);
  }
  if (skipped > 0) fmt::print(stderr, "deploy/install-deps --drivers installs what is missing\n");
  if (skipped > 0 && !may_skip) return 1;
  if (present.empty()) return kSkipped;

  Trial trial(present, encryption);
  std::exception_ptr broken_off;
  try {
    trial.play_connecting();
    trial.play_direct();
    trial.play_node_down();
    trial.play_failover();
    trial.play_switchover();
  } catch (...) {
    broken_off = std::current_exception();  // what was unexpected before it often says why
  }
  if (show) show_answers(trial);
  const auto unexpected = unexpected_in(trial.applications());
  for (const auto& line : unexpected) fmt::print(stderr, "UNEXPECTED: {}\n", line);
  if (broken_off) std::rethrow_exception(broken_off);
  fmt::print("{}", markdown_of(trial.applications()));
  fmt::print(stderr, "{} drivers, {} skipped, {} reports that are not as expected\n", present.size(), skipped,
             unexpected.size());
  if (!unexpected.empty()) return 1;
  return skipped > 0 ? kSkipped : 0;
}

}  // namespace

int main(int argc, char** argv) {
  CLI::App app("What applications see of a failover, by driver");
  std::string folder;
  std::string build_folder;
  std::vector<std::string> names;
  Encryption encryption = Encryption::kNone;
  bool may_skip = false;
  bool show = false;
  app.add_option("--folder", folder, "where the drivers' folders are")->required();
  app.add_option("--build-folder", build_folder, "where their programs are built")->required();
  app.add_option("--tls", encryption, "who talks in TLS, and logs in by SCRAM: nobody, clients, or both sides")
      ->transform(CLI::CheckedTransformer(std::map<std::string, Encryption>{
          {"none", Encryption::kNone}, {"clients", Encryption::kClients}, {"both", Encryption::kBothSides}}));
  app.add_flag("--may-skip", may_skip, "a missing toolchain is exit status 77, not a failure");
  app.add_flag("--show", show, "also print every answer, on standard error");
  app.add_option("driver", names, "folders to play")->required();
  CLI11_PARSE(app, argc, argv);
  std::signal(SIGPIPE, SIG_IGN);
  try {
    return run(std::filesystem::absolute(folder).string(), std::filesystem::absolute(build_folder).string(), names,
               encryption, may_skip, show);
  } catch (const std::exception& error) {
    fmt::print(stderr, "drivers: {}\n", error.what());
    return 1;
  }
}
