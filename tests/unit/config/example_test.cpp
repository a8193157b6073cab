#include "config/example.h"

#include <cstdlib>
#include <fstream>
#include <iterator>
#include <string>

#include <doctest/doctest.h>

#include "config/parse.h"
#include "config/reference.h"
#include "config/schema.h"

using namespace pgkeel;

namespace {

std::string read_file(const std::string& path) {
  std::ifstream file(path, std::ios::binary);
  return {std::istreambuf_iterator<char>(file), {}};
}

std::string problems_of(const std::string& text) {
  const ConfigResult result = parse_config(text, "f");
  return result ? "" : format_problems(result.error());
}

// Every row below `table` that is no table itself.
std::vector<const Key*> all_rows(const Table& table) {
  std::vector<const Key*> rows;
  for (const Key& key : table.keys) {
    if (key.table == nullptr) {
      rows.push_back(&key);
    } else {
      const auto below = all_rows(*key.table);
      rows.insert(rows.end(), below.begin(), below.end());
    }
  }
  return rows;
}

}  // namespace

TEST_CASE("config/example.toml is what the schema says (PGKEEL_REWRITE=1 writes it anew)") {
  const std::string path = PGKEEL_SOURCE_DIR "/config/example.toml";
  if (std::getenv("PGKEEL_REWRITE") != nullptr) std::ofstream(path, std::ios::binary) << example_toml();
  CHECK(read_file(path) == example_toml());
}

TEST_CASE("config/agent.example.toml is what the schema says (PGKEEL_REWRITE=1 writes it anew)") {
  const std::string path = PGKEEL_SOURCE_DIR "/config/agent.example.toml";
  if (std::getenv("PGKEEL_REWRITE") != nullptr) std::ofstream(path, std::ios::binary) << agent_example_toml();
  CHECK(read_file(path) == agent_example_toml());
  const auto parsed = parse_agent_file(agent_example_toml(), "f");
  CHECK_MESSAGE(parsed, format_problems(parsed.error()));
}

TEST_CASE("deploy/configuration.md is what the schema says, and has every key (PGKEEL_REWRITE=1 writes it anew)") {
  const std::string path = PGKEEL_SOURCE_DIR "/deploy/configuration.md";
  const std::string reference = configuration_reference();
  if (std::getenv("PGKEEL_REWRITE") != nullptr) std::ofstream(path, std::ios::binary) << reference;
  CHECK(read_file(path) == reference);
  auto rows = all_rows(config_schema());
  for (const Key* key : all_rows(agent_schema())) rows.push_back(key);
  for (const Key* key : rows) {
    CAPTURE(key->name);
    const std::string name(key->name);
    CHECK((reference.find("`" + name + "`") != std::string::npos ||
           reference.find("." + name + "`") != std::string::npos));
  }
}

TEST_CASE("the example is a valid configuration") {
  CHECK(problems_of(example_toml()) == "");
}

TEST_CASE("what the example shows as a default is the default") {
  const Config shown = parse_config(example_toml(), "f").value();
  const Config none =
      parse_config("[cluster.o]\nlisten = \"h:1\"\n[[cluster.o.node]]\nname = \"a\"\nhost = \"i\"\n", "f").value();
  CHECK(shown.proxy.hold_timeout == none.proxy.hold_timeout);
  CHECK(shown.proxy.no_route == none.proxy.no_route);
  CHECK(shown.clusters[0].allow == none.clusters[0].allow);
  CHECK(shown.clusters[0].replication.user == none.clusters[0].replication.user);
  CHECK(shown.clusters[0].detection.failure_timeout == none.clusters[0].detection.failure_timeout);
  CHECK(shown.clusters[0].nodes[0].priority == none.clusters[0].nodes[0].priority);
}

TEST_CASE("every row of the schema says what its key is for, and has limits that hold its default") {
  auto rows = all_rows(config_schema());
  for (const Key* key : all_rows(agent_schema())) rows.push_back(key);
  for (const Key* key : rows) {
    CAPTURE(key->name);
    CHECK((!key->help.empty() || !key->choices.empty() || key->name == "port"));
    CHECK(key->least <= key->most);
    CHECK((key->type == KeyType::kChoice) == !key->choices.empty());
  }
}

TEST_CASE("every key of the contract is known") {
  CHECK(problems_of(read_file(PGKEEL_SOURCE_DIR "/tests/unit/config/contract.toml")).empty());
}

TEST_CASE("the whole contract can be read for use") {
  CHECK(load_config(PGKEEL_SOURCE_DIR "/tests/unit/config/contract.toml"));
}
