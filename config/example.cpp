#include "config/example.h"

#include <algorithm>
#include <cassert>
#include <string_view>
#include <utility>
#include <vector>

#include <fmt/format.h>

#include "config/schema.h"
#include "config/value_text.h"

namespace pgkeel {
namespace {

constexpr std::size_t kLineLength = 120;
constexpr std::string_view kClusterName = "orders";

constexpr std::string_view kIntroduction =
    "# pgkeel.toml: every key, with its default where it has one. Made from config/schema.cpp; do not edit by hand.\n"
    "# Only the keys without a default are needed: `listen` of a cluster, and `name` and `host` of its nodes.\n"
    "# A reload (SIGHUP, `pgkeel reload`) takes every change over without dropping a client, at once, or for those "
    "that\n"
    "# connect from then on: (new connections). What waits for a restart is marked: (restart).\n";

constexpr std::string_view kAgentIntroduction =
    "# agent.toml, beside each PostgreSQL server: every key, with its default where it has one. Made from\n"
    "# config/schema.cpp; do not edit by hand.\n";

// Which of the tables of an array is shown: the first has every key, the second what differs.
enum class Instance { kFirst, kSecond };

std::string padded(std::string_view text, std::size_t width) {
  return std::string(text) + std::string(width - std::min(width, text.size()), ' ');
}

std::string shown_value(const Key& key, const void* owner, Instance instance) {
  if (instance == Instance::kSecond) return std::string(key.second_example);
  if (!key.example.empty()) return std::string(key.example);
  return value_text(key, key.load != nullptr ? key.load(owner) : key.fallback);
}

bool is_shown(const Key& key, Instance instance) {
  if (instance == Instance::kFirst) return true;
  if (!key.is_table()) return !key.second_example.empty();
  return std::ranges::any_of(key.table->keys, [](const Key& part) { return !part.second_example.empty(); });
}

void* part_of(const Key& key, void* owner) {
  return key.open != nullptr ? key.open(owner, kClusterName) : nullptr;
}

std::string inline_table(const Key& key, void* owner, Instance instance) {
  void* part = part_of(key, owner);
  std::string text;
  for (const Key& row : key.table->keys) {
    const std::string value = row.is_table() ? inline_table(row, part, instance) : shown_value(row, part, instance);
    text += fmt::format("{}{} = {}", text.empty() ? "" : ", ", row.name, value);
  }
  return "{ " + text + " }";
}

std::string comment_on(const Key& key) {
  std::string text = fmt::format("{}", fmt::join(key.choices, ", "));
  for (const std::string_view part : {key.help, key.unsupported}) {
    if (!part.empty()) text += fmt::format("{}{}", text.empty() ? "" : "; ", part);
  }
  if (key.reload == ReloadEffect::kRestart) text += " (restart)";
  if (key.reload == ReloadEffect::kNewConnections) text += " (new connections)";
  return text;
}

// As comment lines; those after the first are indented to `indent` columns after the '#'.
std::string comment_lines(std::string_view text, std::size_t indent) {
  std::string lines;
  std::size_t margin = 1;
  while (!text.empty()) {
    const std::size_t room = kLineLength - 1 - margin;
    std::size_t length = text.size();
    if (length > room) length = text.rfind(' ', room);
    assert(length != std::string_view::npos);
    lines += fmt::format("#{}{}\n", std::string(margin, ' '), text.substr(0, length));
    text.remove_prefix(std::min(length + 1, text.size()));
    margin = indent;
  }
  return lines;
}

std::string commented_out(std::string_view lines) {
  std::string text;
  while (!lines.empty()) {
    const std::size_t length = std::min(lines.find('\n') + 1, lines.size());
    text += (length > 1 ? "# " : "#") + std::string(lines.substr(0, length));
    lines.remove_prefix(length);
  }
  return text;
}

// The lines of the table's own keys: `name = value  # comment`, with what is too long for that above the line.
std::string lines_of_keys(const Table& table, void* owner, Instance instance) {
  std::size_t name_width = 0;
  for (const Key& key : table.keys) {
    if (!key.is_table()) name_width = std::max(name_width, key.name.size());
  }
  std::string text;
  for (const Key& key : table.keys) {
    if (!is_shown(key, instance)) continue;
    if (!key.is_table()) {
      const std::string value = shown_value(key, owner, instance);
      const std::string comment = instance == Instance::kFirst ? comment_on(key) : "";
      const std::string line = fmt::format("{} = {}", padded(key.name, name_width), value);
      const std::string with_comment = fmt::format("{}  # {}", padded(line, name_width + 20), comment);
      if (comment.empty()) {
        text += line + "\n";
      } else if (with_comment.size() <= kLineLength) {
        text += with_comment + "\n";
      } else {
        text += comment_lines(comment, 1) + line + "\n";
      }
    } else if (key.written_inline) {
      if (instance == Instance::kFirst) {
        text += "\n" + comment_lines(comment_on(key), 1);
        for (const Key& row : key.table->keys) {
          text += comment_lines(fmt::format("  {:15} {}", row.name, comment_on(row)), 19);
        }
      }
      const std::string line = fmt::format("{} = {}\n", key.name, inline_table(key, owner, instance));
      text += key.unsupported.empty() && !key.shown_commented_out ? line : commented_out(line);
    }
  }
  return text;
}

void append_table(std::string& out, const Key& key, void* owner, const std::string& parent);

void append_below(std::string& out, const Table& table, void* owner, const std::string& path) {
  for (const Key& key : table.keys) {
    if (key.is_table() && !key.written_inline) append_table(out, key, owner, path);
  }
}

void append_table(std::string& out, const Key& key, void* owner, const std::string& parent) {
  const bool array = key.type == KeyType::kTableArray;
  const std::string path = fmt::format("{}{}{}{}{}", parent, parent.empty() ? "" : ".", key.name,
                                       key.type == KeyType::kTablesByName ? "." : "",
                                       key.type == KeyType::kTablesByName ? kClusterName : "");
  const std::string header = array ? "[[" + path + "]]\n" : "[" + path + "]\n";
  void* part = part_of(key, owner);
  const std::string lines = header + lines_of_keys(*key.table, part, Instance::kFirst);
  out += "\n" + comment_lines(comment_on(key), 1) +
         (key.unsupported.empty() && !key.shown_commented_out ? lines : commented_out(lines));
  if (array) out += "\n" + header + lines_of_keys(*key.table, part, Instance::kSecond);
  append_below(out, *key.table, part, path);
}

}  // namespace

std::string example_toml() {
  Config defaults;
  std::string text(kIntroduction);
  append_below(text, config_schema(), &defaults, "");
  return text;
}

std::string agent_example_toml() {
  AgentFile defaults;
  std::string text(kAgentIntroduction);
  append_below(text, agent_schema(), &defaults, "");
  return text;
}

}  // namespace pgkeel
