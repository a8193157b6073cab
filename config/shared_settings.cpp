#include "config/shared_settings.h"

#include <cstdint>
#include <string_view>

#include <fmt/format.h>

#include "config/schema.h"
#include "config/value_text.h"

namespace pgkeel {
namespace {

void collect(const Table& table, void* owner, const std::string& path, SharedSettings& settings) {
  for (const Key& key : table.keys) {
    if (key.per_host) continue;
    const std::string key_path = path_below(path, key.name);
    if (!key.is_table()) {
      if (key.load != nullptr) settings[key_path] = value_text(key, key.load(owner));
      continue;
    }
    if (key.parts == nullptr) continue;
    std::string order;
    for (const TablePart& part : key.parts(owner)) {
      collect(*key.table, part.owner, part.name.empty() ? key_path : path_below(key_path, part.name), settings);
      order += (order.empty() ? "" : ", ") + part.name;
    }
    // Of nodes that are as good as each other the first is promoted.
    if (key.type == KeyType::kTableArray) settings[key_path + " (order)"] = order;
    // A cluster may have nothing that differs from the defaults but its name.
  }
}

// The table of a cluster or node that a path leads into, as long as `others` has nothing of it; else the path.
std::string widest_missing(const std::string& path, const SharedSettings& others) {
  for (std::size_t dot = path.find('.'); dot != std::string::npos; dot = path.find('.', dot + 1)) {
    const std::string table = path.substr(0, dot);
    const auto next = others.lower_bound(table + ".");
    if (next == others.end() || !next->first.starts_with(table + ".")) return table;
  }
  return path;
}

void add_once(std::vector<std::string>& names, std::string name) {
  if (names.empty() || names.back() != name) names.push_back(std::move(name));
}

}  // namespace

SharedSettings shared_settings(Config config) {
  SharedSettings settings;
  collect(config_schema(), &config, "", settings);
  return settings;
}

// FNV-1a: this finds mistakes, not attacks.
std::string digest_of(const SharedSettings& settings) {
  std::uint64_t hash = 0xcbf29ce484222325U;
  const auto add = [&hash](std::string_view text) {
    for (const char c : text) hash = (hash ^ static_cast<std::uint8_t>(c)) * 0x100000001b3U;
    hash = (hash ^ 0xFFU) * 0x100000001b3U;
  };
  for (const auto& [path, value] : settings) {
    add(path);
    add(value);
  }
  return fmt::format("{:016x}", hash);
}

std::vector<std::string> differing_settings(const SharedSettings& ours, const SharedSettings& theirs) {
  std::vector<std::string> names;
  auto our = ours.begin();
  auto their = theirs.begin();
  while (our != ours.end() || their != theirs.end()) {
    if (their == theirs.end() || (our != ours.end() && our->first < their->first)) {
      add_once(names, widest_missing(our->first, theirs));
      ++our;
    } else if (our == ours.end() || their->first < our->first) {
      add_once(names, widest_missing(their->first, ours));
      ++their;
    } else {
      if (our->second != their->second) add_once(names, our->first);
      ++our;
      ++their;
    }
  }
  return names;
}

}  // namespace pgkeel
