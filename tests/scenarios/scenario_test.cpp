#include <algorithm>
#include <cstdlib>
#include <filesystem>

#include <doctest/doctest.h>

#include "tests/scenarios/script_file.h"
#include "tests/scenarios/scripted_cluster.h"

using namespace pgkeel;
using namespace pgkeel::scenarios;

namespace {

std::vector<std::filesystem::path> script_paths() {
  std::vector<std::filesystem::path> paths;
  for (const auto& entry : std::filesystem::directory_iterator(PGKEEL_SCENARIO_FOLDER)) {
    if (entry.path().extension() == ".txt" && entry.path().stem() != "CMakeLists") paths.push_back(entry.path());
  }
  std::ranges::sort(paths);
  return paths;
}

bool rewrite_wanted() {
  const char* wanted = std::getenv("PGKEEL_REWRITE");
  return wanted != nullptr && std::string(wanted) == "1";
}

// Compares the output of each block, or takes it over. An error of the script itself is the output of its block.
void run_script(Script& script, Coverage& coverage) {
  ScriptedCluster cluster(coverage);
  for (auto& block : script.blocks) {
    std::string output;
    try {
      output = cluster.run(block.commands);
    } catch (const std::exception& error) {
      output = "error: " + std::string(error.what()) + "\n";
    }
    if (rewrite_wanted()) {
      block.expected = output;
      continue;
    }
    const std::string where = script.path.string() + ":" + std::to_string(block.line);
    INFO(where);
    INFO("PGKEEL_REWRITE=1 writes the new output into the script; commit it only where you know why it changed");
    CHECK(output == block.expected);
  }
}

}  // namespace

TEST_CASE("every scenario goes as its script says, and together they reach every phase, transition and action") {
  Coverage coverage;
  for (const auto& path : script_paths()) {
    Script script = read_script(path);
    run_script(script, coverage);
    if (rewrite_wanted()) write_script(script);
  }
  for (std::size_t row = 0; row < transitions().size(); ++row) {
    INFO("no scenario takes the row: ", std::string(transitions()[row].why));
    CHECK(coverage.transition_rows.contains(row));
  }
  for (const Phase phase : kAllPhases) {
    INFO("no scenario reaches the phase ", std::string(phase_name(phase)));
    CHECK(coverage.phases.contains(phase));
  }
  for (const ActionKind kind : kAllActionKinds) {
    INFO("no scenario starts the action ", std::string(action_name(kind)));
    CHECK(coverage.actions.contains(kind));
  }
}
