#include "config/changes.h"

#include <algorithm>
#include <cstdint>
#include <iterator>
#include <string>
#include <vector>

#include <doctest/doctest.h>

#include "config/example.h"
#include "config/parse.h"
#include "config/value_text.h"
#include "tests/fuzz/fuzz.h"

using namespace pgkeel;
using namespace pgkeel::test;

namespace {

Config example() {
  Config config = parse_config(example_toml(), "f").value();
  ClusterConfig second = config.clusters.front();
  second.name = "second";
  second.nodes.front().local.reset();
  second.nodes.front().agent = AgentAccessConfig{"https://h:1", {"/ca", "/cert", "/key"}};
  config.clusters.push_back(second);
  return config;
}

struct Place {
  const Key* key = nullptr;
  void* owner = nullptr;
  std::string path;
};

// Every key that is there, with the struct that holds its value.
void collect(const Table& table, void* owner, const std::string& path, std::vector<Place>& places) {
  for (const Key& key : table.keys) {
    const std::string key_path = path + (path.empty() ? "" : ".") + std::string(key.name);
    if (!key.is_table()) {
      if (key.store != nullptr) places.push_back({&key, owner, key_path});
    } else if (key.parts != nullptr) {
      for (const TablePart& part : key.parts(owner))
        collect(*key.table, part.owner, part.name.empty() ? key_path : key_path + "." + part.name, places);
    }
  }
}

std::vector<Place> places_of(Config& config) {
  std::vector<Place> places;
  collect(config_schema(), &config, "", places);
  return places;
}

// Another value that the key may have.
KeyValue other_value(const Key& key, const KeyValue& value, std::uint64_t salt) {
  const auto number = [&](std::int64_t now) {
    return now < key.most ? now + 1 + static_cast<std::int64_t>(salt % 3) * (now < key.most - 3) : now - 1;
  };
  switch (key.type) {
    case KeyType::kInteger:
      return number(std::get<std::int64_t>(value));
    case KeyType::kBoolean:
      return !std::get<bool>(value);
    case KeyType::kDuration:
      return std::get<Duration>(value) + (std::get<Duration>(value).count() < key.most ? 1ms : -1ms);
    case KeyType::kHostPort:
      return HostPort{"h" + std::to_string(salt), 1};
    case KeyType::kChoice:
      return static_cast<std::int64_t>((static_cast<std::size_t>(std::get<std::int64_t>(value)) + 1) %
                                       key.choices.size());
    case KeyType::kTextList:
      return std::vector<std::string>{"10." + std::to_string(salt % 250) + ".0.0/16"};
    default:
      return "/other" + std::to_string(salt);
  }
}

// Somewhere else, by up to a few keys, nodes and clusters.
void change_at_random(Config& config, Random& random) {
  for (std::size_t times = random.below(4); times > 0; --times) {
    auto& nodes = config.clusters[random.below(config.clusters.size())].nodes;
    switch (random.below(6)) {
      case 0:
        nodes.push_back({.name = "n" + std::to_string(random.below(1'000'000)), .local = {}});
        break;
      case 1:
        if (!nodes.empty()) nodes.erase(nodes.begin() + static_cast<std::ptrdiff_t>(random.below(nodes.size())));
        break;
      case 2:
        std::ranges::reverse(nodes);
        break;
      case 3:
        config.clusters.emplace_back().name = "c" + std::to_string(random.below(1'000'000));
        break;
      default: {
        const auto places = places_of(config);
        const Place& place = places[random.below(places.size())];
        place.key->store(place.owner, other_value(*place.key, place.key->load(place.owner), random.below(1'000'000)));
      }
    }
  }
}

std::string described(const Config& before, const Config& after) {
  std::string text;
  for (const auto& change : config_changes(before, after)) text += describe(change) + "\n";
  return text;
}

}  // namespace

TEST_CASE("nothing changed where both say the same") {
  CHECK(config_changes(example(), example()).empty());
}

TEST_CASE("a changed value is told with the old and the new one") {
  Config after = example();
  after.proxy.hold_timeout = 20s;
  after.proxy.workers = 3;
  after.clusters[0].nodes[1].priority = 50;
  after.clusters[1].durability = Durability::kStrict;
  CHECK(described(example(), after) ==
        R"(proxy.workers: 0 -> 3 (waits for a restart)
proxy.hold_timeout: "10s" -> "20s" (for new connections)
cluster.orders.node.b.priority: 100 -> 50
cluster.second.durability: "available" -> "strict"
)");
}

TEST_CASE("nodes, clusters and tables that come and go are told by their names") {
  Config before = example();
  Config after = example();
  NodeConfig node{.name = "c", .address = {"10.0.0.3", 5432}, .priority = 7, .local = {}};
  after.clusters[0].nodes.push_back(node);
  after.clusters[0].nodes.erase(after.clusters[0].nodes.begin());
  after.clusters[1].nodes[0].agent.reset();
  CHECK(described(before, after) ==
        R"(cluster.orders.node.a: removed
cluster.orders.node.c: added: { name = "c", host = "10.0.0.3", port = 5432, priority = 7 }
cluster.second.node.a.agent: removed
)");
  after = before;
  after.clusters.pop_back();
  CHECK(described(before, after) == "cluster.second: removed\n");
}

TEST_CASE("the order of nodes is told: the first of two equals is promoted") {
  Config after = example();
  std::ranges::reverse(after.clusters[0].nodes);
  CHECK(described(example(), after) == "cluster.orders.node (order): a, b -> b, a\n");
}

TEST_CASE("every key: a change of it is seen, and a reload takes it over or says that it waits for a restart") {
  Config config = example();
  const auto places = places_of(config);
  CHECK(places.size() > 60);
  std::vector<std::string> that_wait;
  for (std::size_t at = 0; at < places.size(); ++at) {
    CAPTURE(places[at].path);
    Config after = config;
    const Place place = places_of(after)[at];
    place.key->store(place.owner, other_value(*place.key, place.key->load(place.owner), 1));
    REQUIRE(after != config);
    const auto changes = config_changes(config, after);
    const bool renames = place.key->name == "name" && place.path.starts_with("cluster.");
    REQUIRE(changes.size() == (renames ? 2 : 1));
    if (!renames) {
      CHECK(changes[0].path == place.path);
      CHECK(changes[0].effect == place.key->reload);
      CHECK(changes[0].before != changes[0].after);
    }
    const bool waits = place.key->reload == ReloadEffect::kRestart;
    CHECK(without_restart(config, after) == (waits ? config : after));
    if (waits) that_wait.push_back(place.path);
  }
  std::vector<std::string> others;
  std::ranges::copy_if(that_wait, std::back_inserter(others),
                       [](const auto& path) { return !path.starts_with("coordination."); });
  CHECK(that_wait.size() == others.size() + 16);
  CHECK(others == std::vector<std::string>{"proxy.workers", "admin.listen", "admin.token_file", "state.directory"});
}

TEST_CASE("every row of pgkeel.toml that waits for a restart stands outside of the clusters, which come and go") {
  Config config = example();
  for (const Place& place : places_of(config)) {
    if (place.key->reload == ReloadEffect::kRestart) CHECK_FALSE(place.path.starts_with("cluster."));
  }
}

TEST_CASE("random changes: what is told is all that changed, and what holds afterwards is what is not told to wait") {
  for_seeds(2'000, [](std::uint64_t seed) {
    Random random(seed);
    Config before = example();
    change_at_random(before, random);
    Config after = before;
    change_at_random(after, random);
    const auto changes = config_changes(before, after);
    CHECK(changes.empty() == (before == after));
    const Config holds = without_restart(before, after);
    const auto done = config_changes(before, holds);
    const auto waiting = config_changes(holds, after);
    CHECK(std::ranges::none_of(done, [](const auto& change) { return change.effect == ReloadEffect::kRestart; }));
    CHECK(std::ranges::all_of(waiting, [](const auto& change) { return change.effect == ReloadEffect::kRestart; }));
    CHECK(done.size() + waiting.size() == changes.size());
    CHECK(without_restart(holds, after) == holds);
    // The way back tells the same keys.
    CHECK(config_changes(after, before).size() == changes.size());
  });
}
