#include "config/changes.h"

#include <algorithm>
#include <string_view>
#include <utility>

#include "config/schema.h"
#include "config/value_text.h"

namespace pgkeel {
namespace {

// `{ host = "10.0.0.3", port = 5432, … }`: what an element that came or went says, but for what it leaves empty.
std::string summary_of(const Table& table, void* owner) {
  std::string text;
  const auto add = [&](std::string_view name, const std::string& value) {
    text += (text.empty() ? " " : ", ") + std::string(name) + " = " + value;
  };
  for (const Key& key : table.keys) {
    if (key.is_table()) {
      if (key.type != KeyType::kTable || key.parts == nullptr) continue;
      for (const TablePart& part : key.parts(owner)) add(key.name, summary_of(*key.table, part.owner));
    } else if (key.load != nullptr) {
      const std::string value = value_text(key, key.load(owner));
      if (value != "\"\"" && value != "[]") add(key.name, value);
    }
  }
  return "{" + text + " }";
}

class Comparison {
 public:
  void compare(const Table& table, void* before, void* after, const std::string& path) {
    for (const Key& key : table.keys) {
      const std::string key_path = path_below(path, key.name);
      if (key.is_table()) {
        if (key.parts != nullptr) compare_parts(key, key.parts(before), key.parts(after), key_path);
      } else if (key.load != nullptr && key.load(before) != key.load(after)) {
        changes_.push_back({.kind = ConfigChange::Kind::kChanged,
                            .path = key_path,
                            .before = value_text(key, key.load(before)),
                            .after = value_text(key, key.load(after)),
                            .effect = key.reload});
      }
    }
  }

  std::vector<ConfigChange> take() { return std::move(changes_); }

 private:
  void compare_parts(const Key& key, const std::vector<TablePart>& before, const std::vector<TablePart>& after,
                     const std::string& path) {
    std::vector<std::string> order_before;
    std::vector<std::string> order_after;
    for (const TablePart& old : before) {
      const std::string part_path = old.name.empty() ? path : path_below(path, old.name);
      const auto twin = std::ranges::find(after, old.name, &TablePart::name);
      if (twin != after.end()) {
        order_before.push_back(old.name);
        compare(*key.table, old.owner, twin->owner, part_path);
      } else {
        changes_.push_back({.kind = ConfigChange::Kind::kRemoved,
                            .path = part_path,
                            .before = summary_of(*key.table, old.owner),
                            .after = "",
                            .effect = key.reload});
      }
    }
    for (const TablePart& young : after) {
      if (std::ranges::find(before, young.name, &TablePart::name) != before.end()) {
        order_after.push_back(young.name);
        continue;
      }
      changes_.push_back({.kind = ConfigChange::Kind::kAdded,
                          .path = young.name.empty() ? path : path_below(path, young.name),
                          .before = "",
                          .after = summary_of(*key.table, young.owner),
                          .effect = key.reload});
    }
    // Where two are as good as each other, the one that comes first in the file is taken.
    if (order_before != order_after) {
      changes_.push_back({.kind = ConfigChange::Kind::kChanged,
                          .path = path + " (order)",
                          .before = joined(order_before),
                          .after = joined(order_after),
                          .effect = key.reload});
    }
  }

  static std::string joined(const std::vector<std::string>& names) {
    std::string text;
    for (const std::string& name : names) text += (text.empty() ? "" : ", ") + name;
    return text;
  }

  std::vector<ConfigChange> changes_;
};

void keep_restart_keys(const Table& table, void* from, void* to) {
  for (const Key& key : table.keys) {
    if (key.type == KeyType::kTable && key.parts != nullptr) {
      const auto sources = key.parts(from);
      const auto targets = key.parts(to);
      if (sources.size() == 1 && targets.size() == 1)
        keep_restart_keys(*key.table, sources.front().owner, targets.front().owner);
    } else if (key.store != nullptr && key.reload == ReloadEffect::kRestart) {
      key.store(to, key.load(from));
    }
  }
}

}  // namespace

std::vector<ConfigChange> config_changes(Config before, Config after) {
  Comparison comparison;
  comparison.compare(config_schema(), &before, &after, "");
  return comparison.take();
}

Config without_restart(Config running, Config wanted) {
  keep_restart_keys(config_schema(), &running, &wanted);
  return wanted;
}

std::string describe(const ConfigChange& change) {
  switch (change.kind) {
    case ConfigChange::Kind::kAdded:
      return change.path + ": added: " + change.after;
    case ConfigChange::Kind::kRemoved:
      return change.path + ": removed";
    case ConfigChange::Kind::kChanged:
      break;
  }
  std::string text = change.path + ": " + change.before + " -> " + change.after;
  if (change.effect == ReloadEffect::kNewConnections) text += " (for new connections)";
  if (change.effect == ReloadEffect::kRestart) text += " (waits for a restart)";
  return text;
}

const char* change_kind_name(ConfigChange::Kind kind) {
  switch (kind) {
    case ConfigChange::Kind::kChanged:
      return "changed";
    case ConfigChange::Kind::kAdded:
      return "added";
    case ConfigChange::Kind::kRemoved:
      return "removed";
  }
  return "unknown";
}

}  // namespace pgkeel
