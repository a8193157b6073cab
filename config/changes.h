// What a reload changes: the difference of two configurations, key by key along the schema, and the configuration that
// holds afterwards. Pure; any thread. No value is a secret: passwords are in files of their own.
#pragma once

#include <string>
#include <vector>

#include "config/config.h"
#include "config/schema.h"

namespace pgkeel {

struct ConfigChange {
  enum class Kind { kChanged, kAdded, kRemoved };
  Kind kind = Kind::kChanged;
  std::string path;    // "cluster.orders.node.b.priority": clusters and nodes by their names
  std::string before;  // as TOML; empty where it was added
  std::string after;   // … where it was removed
  ReloadEffect effect = ReloadEffect::kAtOnce;

  friend bool operator==(const ConfigChange&, const ConfigChange&) = default;
};

// In the order of the schema; empty: both say the same. Taken by value: the schema's rows look into structs that they
// could change.
std::vector<ConfigChange> config_changes(Config before, Config after);

// `wanted` as far as a running process can follow it: what needs a restart keeps its value.
Config without_restart(Config running, Config wanted);

// "hold_timeout: "10s" -> "20s" (for new connections)"
std::string describe(const ConfigChange& change);

const char* change_kind_name(ConfigChange::Kind kind);  // "changed", "added", "removed"

}  // namespace pgkeel
