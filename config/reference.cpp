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
void append_rows(std::string& out, const Table& table, void* owner, const std::string& prefix, bool with_reload) {
  for (const Key& key : table.keys) {
    if (key.is_table()) {
      if (!key.written_inline) continue;
      void* part = key.open != nullptr ? key.open(owner, "NAME") : nullptr;
      append_rows(out, *key.table, part, prefix + std::string(key.name) + ".", with_reload);
      continue;
    }
    std::string meaning(key.help);
    if (!key.unsupported.empty()) meaning += (meaning.empty() ? "" : "; ") + std::string(key.unsupported);
    const std::string fallback = key.required ? "required" : "`" + value_text(key, key.default_value(owner)) + "`";
    out +=
        fmt::format("| `{}{}` | {} | {} | {} | ", prefix, key.name, type_of(key), for_cell(fallback), limits_of(key));
    if (with_reload)
      out +=
          key.unsupported.empty() && key.store != nullptr ? fmt::format("{} | ", reload_effect_name(key.reload)) : "| ";
    out += for_cell(meaning) + " |\n";
  }
}

void append_tables(std::string& out, const Table& table, void* owner, const std::string& path, bool with_reload) {
  for (const Key& key : table.keys) {
    if (!key.is_table() || key.written_inline) continue;
    std::string name = path + (path.empty() ? "" : ".") + std::string(key.name);
    if (key.type == KeyType::kTablesByName) name += ".NAME";
    const bool is_array = key.type == KeyType::kTableArray;
    out += fmt::format("\n## {0}{1}{2}\n\n{3}{4}.\n", is_array ? "[[" : "[", name, is_array ? "]]" : "]", key.help,
                       key.unsupported.empty() ? "" : "; " + std::string(key.unsupported));
    void* part = key.open != nullptr ? key.open(owner, "NAME") : nullptr;
    out += with_reload
               ? "\n| key | type | default | limits | in force | meaning |\n| --- | --- | --- | --- | --- | --- |\n"
               : "\n| key | type | default | limits | meaning |\n| --- | --- | --- | --- | --- |\n";
    append_rows(out, *key.table, part, "", with_reload);
    append_tables(out, *key.table, part, name, with_reload);
  }
}

}  // namespace

std::string configuration_reference() {
  Config defaults;
  std::string text(kHead);
  append_tables(text, config_schema(), &defaults, "", true);
  AgentFile agent_defaults;
  text += kAgentHead;
  append_tables(text, agent_schema(), &agent_defaults, "", false);
  return text;
}

}  // namespace pgkeel
