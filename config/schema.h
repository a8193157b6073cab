// The schema of pgkeel.toml: one row for each key says all that pgkeel knows about it, and drives reading, defaults,
// messages and config/example.toml. How a key is added: config/README.md. Immutable; any thread.
#pragma once

#include <cstdint>
#include <limits>
#include <string>
#include <string_view>
#include <variant>
#include <vector>

#include "config/config.h"
#include "config/values.h"

namespace pgkeel {

enum class KeyType {
  kInteger,
  kBoolean,
  kText,
  kDuration,
  kHostPort,
  kChoice,  // the value is the index of the chosen name
  kTextList,
  kTable,
  kTablesByName,  // [cluster.NAME]
  kTableArray,    // [[cluster.NAME.node]]
};

using KeyValue = std::variant<std::int64_t, bool, std::string, Duration, HostPort, std::vector<std::string>>;

// When a changed value is in force, once a reload has accepted it.
enum class ReloadEffect {
  kAtOnce,          // in all that pgkeel does from then on
  kNewConnections,  // for clients that connect from then on; those that are there keep what they began with
  kRestart,         // at the next start of the process: until then the old value holds
};

constexpr const char* reload_effect_name(ReloadEffect effect) {
  switch (effect) {
    case ReloadEffect::kAtOnce:
      return "at once";
    case ReloadEffect::kNewConnections:
      return "new connections";
    case ReloadEffect::kRestart:
      return "restart";
  }
  return "unknown";
}

struct Table;

// One of the structs that a table of the file stands for.
struct TablePart {
  std::string name;  // of a cluster or a node; empty: there is but one
  void* owner = nullptr;
};

// Where a key stands in the file: "cluster.orders.listen".
inline std::string path_below(const std::string& path, std::string_view name) {
  return path.empty() ? std::string(name) : path + "." + std::string(name);
}

struct Key {
  std::string_view name;
  KeyType type = KeyType::kText;
  std::string_view help;
  bool required = false;

  // Limits of the value; durations in nanoseconds, texts and lists by `check`, which sees each text that is not empty.
  std::int64_t least = 0;
  std::int64_t most = std::numeric_limits<std::int64_t>::max();
  std::vector<std::string_view> choices;
  Complaint (*check)(std::string_view) = nullptr;
  bool may_be_empty = true;

  ReloadEffect reload = ReloadEffect::kAtOnce;

  bool per_host = false;  // among several pgkeels each may have its own; of a table: all of it

  // Why this version refuses any value but the default, or the table as a whole; empty: it does not.
  std::string_view unsupported;

  // What config/example.toml shows in place of the default, as TOML; and in the second table of an array.
  std::string_view example;
  std::string_view second_example;

  // Where the value is kept in the struct that the table describes. Without `store` the key is known, but nothing reads
  // it yet; `fallback` is its default then.
  void (*store)(void* owner, const KeyValue& value) = nullptr;
  KeyValue (*load)(const void* owner) = nullptr;
  KeyValue fallback;

  // Of a table: its rows, and the struct in `owner` that they fill (made where it is one of several).
  const Table* table = nullptr;
  void* (*open)(void* owner, std::string_view name) = nullptr;
  std::vector<TablePart> (*parts)(void* owner) = nullptr;  // those that are there
  bool written_inline = false;                             // in config/example.toml
  bool shown_commented_out = false;

  [[nodiscard]] bool is_table() const { return type >= KeyType::kTable; }
  [[nodiscard]] KeyValue default_value(const void* default_owner) const {
    return load != nullptr ? load(default_owner) : fallback;
  }
};

struct Table {
  std::vector<Key> keys;

  [[nodiscard]] const Key* find(std::string_view name) const;
};

// pgkeel.toml as a whole; its owner is a Config.
const Table& config_schema();

// agent.toml as a whole; its owner is an AgentFile.
const Table& agent_schema();

}  // namespace pgkeel
