#include "config/reference.h"

#include <limits>
#include <string_view>

#include <fmt/format.h>

#include "config/schema.h"
#include "config/value_text.h"

namespace pgkeel {
namespace {

constexpr std::string_view kHead =
    "# Configuration reference\n\n"
    "Made from config/schema.cpp; do not edit by hand. Durations are strings with a unit (`\"250ms\"`, `\"3s\"`, "
    "`\"10m\"`, "
    "`\"2h\"`, `\"30d\"`). Unknown keys, wrong types and values out of their limits are errors with line and column, "
    "all of "
    "them at once: `pgkeel check`. A whole file: [config/example.toml](../config/example.toml).\n\n"
    "*In force* says when a changed value holds after a reload (`pgkeel reload`, SIGHUP): at once, for connections "
    "that "
    "begin from then on, or at the next start of the process.\n";

constexpr std::string_view kAgentHead =
    "\n# agent.toml\n\nBeside each PostgreSQL server. All of it is read when the agent starts; certificates also when "
    "their "
    "files change.\n";

std::string for_cell(std::string_view text) {
  std::string cell;
  for (const char c : text) {
    if (c == '|') cell += '\\';
    cell += c;
  }
  return cell;
}

std::string_view type_of(const Key& key) {
  switch (key.type) {
    case KeyType::kInteger:
      return "whole number";
    case KeyType::kBoolean:
      return "boolean";
    case KeyType::kDuration:
      return "duration";
    case KeyType::kHostPort:
      return "`\"host:port\"`";
    case KeyType::kChoice:
      return "one of the names";
    case KeyType::kTextList:
      return "array of strings";
    default:
      return "string";
  }
}

std::string limits_of(const Key& key) {
  if (key.type == KeyType::kChoice) {
    std::string names;
    for (const std::string_view name : key.choices) names += (names.empty() ? "`" : ", `") + std::string(name) + "`";
    return names;
  }
  const bool is_bounded = key.most != std::numeric_limits<std::int64_t>::max();
  if (key.type == KeyType::kInteger)
    return is_bounded ? fmt::format("{} to {}", key.least, key.most) : fmt::format("{} or more", key.least);
  if (key.type == KeyType::kDuration && is_bounded) {
    return fmt::format("{} to {}", value_text(key, Duration(key.least)), value_text(key, Duration(key.most)));
  }
  return "";
}

// Its keys, and those of the tables that are written into one line with it.
void append_keys(std::vector<ReferenceKey>& keys, const Table& table, void* owner, const std::string& prefix) {
  for (const Key& key : table.keys) {
    const std::string name = prefix + std::string(key.name);
    if (key.is_table()) {
      if (!key.written_inline) continue;
      void* part = key.open != nullptr ? key.open(owner, "NAME") : nullptr;
      append_keys(keys, *key.table, part, name + ".");
      continue;
    }
    ReferenceKey& row = keys.emplace_back();
    row.name = name;
    row.type = type_of(key);
    row.required = key.required;
    if (!key.required) row.fallback = value_text(key, key.default_value(owner));
    row.limits = limits_of(key);
    if (key.unsupported.empty() && key.store != nullptr) row.in_force = reload_effect_name(key.reload);
    row.meaning = key.help;
    if (!key.unsupported.empty()) row.meaning += (row.meaning.empty() ? "" : "; ") + std::string(key.unsupported);
  }
}

void append_tables(std::vector<ReferenceTable>& tables, const Table& table, void* owner, const std::string& path) {
  for (const Key& key : table.keys) {
    if (!key.is_table() || key.written_inline) continue;
    std::string name = path + (path.empty() ? "" : ".") + std::string(key.name);
    if (key.type == KeyType::kTablesByName) name += ".NAME";
    const bool is_array = key.type == KeyType::kTableArray;
    void* part = key.open != nullptr ? key.open(owner, "NAME") : nullptr;
    ReferenceTable& made = tables.emplace_back();
    made.header = fmt::format("{}{}{}", is_array ? "[[" : "[", name, is_array ? "]]" : "]");
    made.meaning = key.help;
    if (!key.unsupported.empty()) made.meaning += "; " + std::string(key.unsupported);
    append_keys(made.keys, *key.table, part, "");
    append_tables(tables, *key.table, part, name);
  }
}

void append_markdown(std::string& out, const std::vector<ReferenceTable>& tables, bool with_reload) {
  for (const ReferenceTable& table : tables) {
    out += fmt::format("\n## {}\n\n{}.\n", table.header, table.meaning);
    out += with_reload
               ? "\n| key | type | default | limits | in force | meaning |\n| --- | --- | --- | --- | --- | --- |\n"
               : "\n| key | type | default | limits | meaning |\n| --- | --- | --- | --- | --- |\n";
    for (const ReferenceKey& key : table.keys) {
      const std::string fallback = key.required ? "required" : "`" + key.fallback + "`";
      out += fmt::format("| `{}` | {} | {} | {} | ", key.name, key.type, for_cell(fallback), key.limits);
      if (with_reload) out += key.in_force.empty() ? "| " : key.in_force + " | ";
      out += for_cell(key.meaning) + " |\n";
    }
  }
}

}  // namespace

std::vector<ReferenceTable> configuration_tables() {
  Config defaults;
  std::vector<ReferenceTable> tables;
  append_tables(tables, config_schema(), &defaults, "");
  return tables;
}

std::vector<ReferenceTable> agent_configuration_tables() {
  AgentFile defaults;
  std::vector<ReferenceTable> tables;
  append_tables(tables, agent_schema(), &defaults, "");
  return tables;
}

std::string configuration_reference() {
  std::string text(kHead);
  append_markdown(text, configuration_tables(), true);
  text += kAgentHead;
  append_markdown(text, agent_configuration_tables(), false);
  return text;
}

}  // namespace pgkeel
