#include "config/parse.h"

#include <algorithm>
#include <cerrno>
#include <cstdio>
#include <functional>
#include <memory>
#include <optional>
#include <system_error>
#include <utility>

#include <fmt/format.h>
#include <toml++/toml.h>

#include "config/nesting.h"
#include "config/schema.h"
#include "config/validate.h"

namespace pgkeel {
namespace {

constexpr std::size_t kLargestFile = 1U << 20U;
constexpr std::size_t kLongestText = 4096;
constexpr std::size_t kLongestList = 4096;

Position position_of(const toml::source_region& region) {
  return {.line = region.begin.line, .column = region.begin.column};
}

std::string_view describe(toml::node_type type) {
  switch (type) {
    case toml::node_type::table:
      return "a table";
    case toml::node_type::array:
      return "an array";
    case toml::node_type::string:
      return "a string";
    case toml::node_type::integer:
      return "a number";
    case toml::node_type::floating_point:
      return "a number with a fraction";
    case toml::node_type::boolean:
      return "true or false";
    default:
      return "a date or time";
  }
}

std::string_view describe(KeyType type) {
  switch (type) {
    case KeyType::kInteger:
      return "a whole number";
    case KeyType::kBoolean:
      return "true or false, without quotes";
    case KeyType::kDuration:
      return R"(a string such as "250ms", "3s" or "10m")";
    case KeyType::kHostPort:
      return R"(a string such as "127.0.0.1:5432")";
    case KeyType::kTextList:
      return "an array of strings";
    case KeyType::kText:
    case KeyType::kChoice:
      return "a string";
    default:
      return "a table";
  }
}

// What toml++ says may hold bytes of the file.
std::string printable(std::string_view text) {
  const std::string in_quotes = quoted(text);
  return in_quotes.substr(1, in_quotes.size() - 2);
}

std::string join_quoted(const std::vector<std::string_view>& names) {
  std::string text;
  for (const std::string_view name : names) text += (text.empty() ? "" : ", ") + quoted(name);
  return text;
}

bool has_control_character(std::string_view text) {
  return std::ranges::any_of(text, [](char c) { return static_cast<unsigned char>(c) < 0x20 || c == 0x7F; });
}

Result<KeyValue> integer_value(std::int64_t value, const Key& key) {
  if (value < key.least || value > key.most) {
    return Error{fmt::format("{} is not between {} and {}", value, key.least, key.most)};
  }
  return KeyValue(value);
}

Result<KeyValue> duration_value(const std::string& text, const Key& key) {
  const auto duration = parse_duration(text);
  if (!duration) return duration.error();
  if (duration->count() < key.least || duration->count() > key.most) {
    return Error{fmt::format("{} is not between {} and {}", quoted(text), format_whole_duration(Duration(key.least)),
                             format_whole_duration(Duration(key.most)))};
  }
  return KeyValue(*duration);
}

Result<KeyValue> choice_value(const std::string& text, const Key& key) {
  const auto chosen = std::ranges::find(key.choices, std::string_view(text));
  if (chosen != key.choices.end()) return KeyValue(std::int64_t{chosen - key.choices.begin()});
  const std::string_view nearest = nearest_name(text, key.choices);
  const std::string hint = nearest.empty() ? "" : fmt::format("; did you mean {}?", quoted(nearest));
  return Error{fmt::format("{} is none of {}{}", quoted(text), join_quoted(key.choices), hint)};
}

Result<KeyValue> host_port_value(const std::string& text) {
  auto address = parse_host_port(text);
  if (!address) return address.error();
  return KeyValue(std::move(*address));
}

Complaint complain_of_text(const std::string& text, const Key& key) {
  if (text.empty()) return key.may_be_empty ? std::nullopt : Complaint("must not be empty");
  if (text.size() > kLongestText) return fmt::format("is longer than {} bytes", kLongestText);
  if (has_control_character(text)) return quoted(text) + " has a control character in it";
  return key.check != nullptr ? key.check(text) : std::nullopt;
}

Result<KeyValue> list_value(const toml::array& array, const Key& key) {
  std::vector<std::string> texts;
  if (array.size() > kLongestList) return Error{fmt::format("has more than {} elements", kLongestList)};
  if (array.empty() && key.required) return Error{"must not be empty"};
  for (const toml::node& element : array) {
    const auto text = element.value_exact<std::string>();
    if (!text) return Error{fmt::format("{} in the array is no string", describe(element.type()))};
    if (auto complaint = complain_of_text(*text, key)) return Error{std::move(*complaint)};
    texts.push_back(*text);
  }
  return KeyValue(std::move(texts));
}

Result<KeyValue> text_value(const std::string& text, const Key& key) {
  if (auto complaint = complain_of_text(text, key)) return Error{std::move(*complaint)};
  switch (key.type) {
    case KeyType::kDuration:
      return duration_value(text, key);
    case KeyType::kChoice:
      return choice_value(text, key);
    case KeyType::kHostPort:
      return text.empty() ? KeyValue(HostPort{}) : host_port_value(text);
    default:
      return KeyValue(text);
  }
}

// The value that `node` gives to `key`, which is no table.
Result<KeyValue> value_of(const toml::node& node, const Key& key) {
  const bool is_text = key.type == KeyType::kText || key.type == KeyType::kDuration || key.type == KeyType::kChoice ||
                       key.type == KeyType::kHostPort;
  if (const auto text = node.value_exact<std::string>(); text && is_text) return text_value(*text, key);
  if (const auto number = node.value_exact<std::int64_t>(); number && key.type == KeyType::kInteger) {
    return integer_value(*number, key);
  }
  if (const auto flag = node.value_exact<bool>(); flag && key.type == KeyType::kBoolean) return KeyValue(*flag);
  if (const toml::array* array = node.as_array(); array != nullptr && key.type == KeyType::kTextList) {
    return list_value(*array, key);
  }
  return Error{fmt::format("is {}, and must be {}", describe(node.type()), describe(key.type))};
}

// The first table below `schema` that has a key of that name, as a file writes it.
std::optional<std::string> table_that_has(std::string_view name, const Table& schema, const std::string& path = "") {
  for (const Key& key : schema.keys) {
    if (key.table == nullptr) continue;
    const std::string below = fmt::format("{}{}{}{}", path, path.empty() ? "" : ".", key.name,
                                          key.type == KeyType::kTablesByName ? ".NAME" : "");
    if (key.table->find(name) != nullptr) {
      return key.type == KeyType::kTableArray ? "[[" + below + "]]" : "[" + below + "]";
    }
    if (auto found = table_that_has(name, *key.table, below)) return found;
  }
  return std::nullopt;
}

// Fills a Config from a parsed file, and gathers problems and positions.
class Reader {
 public:
  Reader(const std::string& file, const Table& whole) : file_(file), whole_(whole) {}

  // `owner` is the struct that the rows of `schema` fill; null where nothing keeps the values.
  void read_table(const toml::table& table, const Table& schema, void* owner, const std::string& path) {
    const Position position = position_of(table.source());
    for (const auto& [name, node] : table) {
      if (const Key* key = schema.find(name.str())) {
        const std::string key_path = path_below(path, name.str());
        positions_.add(key_path, position_of(node.source()));
        read_key(node, *key, owner, key_path);
      } else {
        complain_of_unknown(name, schema, path);
      }
    }
    for (const Key& key : schema.keys) {
      if (!key.required || table.contains(key.name)) continue;
      complain(position, path_below(path, key.name), key.is_table() ? missing_tables(key, path) : "is missing");
    }
  }

  std::vector<Problem> take_problems() { return std::move(problems_); }
  [[nodiscard]] const KeyPositions& positions() const { return positions_; }

 private:
  static std::string missing_tables(const Key& key, const std::string& path) {
    if (key.type == KeyType::kTable) return "is missing";
    return key.type == KeyType::kTableArray
               ? fmt::format("there is none; each server of the cluster is one [[{}]]", path_below(path, key.name))
               : fmt::format("there is none; write at least one [{}.NAME]", path_below(path, key.name));
  }

  void complain(Position position, const std::string& path, std::string_view message) {
    problems_.push_back({file_, position, fmt::format("{}: {}", path, message)});
  }
  void complain(const toml::node& node, const std::string& path, std::string_view message) {
    complain(position_of(node.source()), path, message);
  }

  void complain_of_unknown(const toml::key& name, const Table& schema, const std::string& path) {
    std::vector<std::string_view> known;
    for (const Key& key : schema.keys) known.push_back(key.name);
    std::string hint;
    if (const std::string_view nearest = nearest_name(name.str(), known); !nearest.empty()) {
      hint = fmt::format("; did you mean {}?", nearest);
    } else if (const auto home = table_that_has(name.str(), whole_)) {
      hint = fmt::format("; it belongs into {}", *home);
    }
    const std::string where = path.empty() ? "at the top of the file" : fmt::format("in {}", path);
    problems_.push_back(
        {file_, position_of(name.source()), fmt::format("unknown key {} {}{}", quoted(name.str()), where, hint)});
  }

  void read_key(const toml::node& node, const Key& key, void* owner, const std::string& path) {
    if (!key.is_table()) {
      read_value(node, key, owner, path);
    } else if (key.type == KeyType::kTableArray) {
      read_table_array(node, key, owner, path);
    } else if (const toml::table* table = node.as_table(); table == nullptr) {
      const std::string_view hint = node.is_array_of_tables() ? "; write its header in single brackets" : "";
      complain(node, path, fmt::format("is {}, and must be a table{}", describe(node.type()), hint));
    } else if (key.type == KeyType::kTablesByName) {
      read_tables_by_name(*table, key, owner, path);
    } else {
      if (!key.unsupported.empty()) complain(node, path, key.unsupported);
      read_table(*table, *key.table, key.open != nullptr ? key.open(owner, {}) : nullptr, path);
    }
  }

  void read_value(const toml::node& node, const Key& key, void* owner, const std::string& path) {
    const auto value = value_of(node, key);
    if (!value) return complain(node, path, value.error().message);
    const KeyValue fallback = key.load != nullptr ? key.load(owner) : key.fallback;
    if (!key.unsupported.empty() && *value != fallback) return complain(node, path, key.unsupported);
    if (key.store != nullptr) key.store(owner, *value);
  }

  // toml++ sorts names; the order of the file is what people mean.
  void read_tables_by_name(const toml::table& table, const Key& key, void* owner, const std::string& path) {
    std::vector<std::pair<Position, const toml::key*>> names;
    for (const auto& [name, node] : table) names.emplace_back(position_of(name.source()), &name);
    std::ranges::sort(names, {}, &std::pair<Position, const toml::key*>::first);
    if (names.empty()) complain(table, path, fmt::format("there is none; write at least one [{}.NAME]", path));
    for (const auto& [position, name] : names) {
      const toml::node& node = *table.get(name->str());
      if (!node.is_table()) {
        complain(
            node, path,
            fmt::format("{} is {}, and must be a table: [{}.NAME]", quoted(name->str()), describe(node.type()), path));
      } else if (auto complaint = complain_of_cluster_name(name->str())) {
        complain(position, path, *complaint);
      } else {
        const std::string table_path = path_below(path, name->str());
        positions_.add(table_path, position_of(node.source()));
        read_table(*node.as_table(), *key.table, key.open(owner, name->str()), table_path);
      }
    }
  }

  void read_table_array(const toml::node& node, const Key& key, void* owner, const std::string& path) {
    const toml::array* array = node.as_array();
    if (array == nullptr) {
      const std::string hint = node.is_table() ? fmt::format("; write [[{}]], in double brackets", path) : "";
      return complain(node, path, fmt::format("is {}, and must be an array of tables{}", describe(node.type()), hint));
    }
    if (array->empty()) complain(node, path, "has no element");
    for (std::size_t i = 0; i < array->size(); ++i) {
      const toml::node& element = (*array)[i];
      const std::string element_path = fmt::format("{}[{}]", path, i);
      positions_.add(element_path, position_of(element.source()));
      void* element_owner = key.open(owner, {});
      if (const toml::table* table = element.as_table()) {
        read_table(*table, *key.table, element_owner, element_path);
      } else {
        complain(element, element_path, fmt::format("is {}, and must be a table", describe(element.type())));
      }
    }
  }

  const std::string& file_;
  const Table& whole_;
  std::vector<Problem> problems_;
  KeyPositions positions_;
};

std::vector<Problem> one_problem(const std::string& file, Position position, std::string message) {
  return {Problem{.file = file, .position = position, .message = std::move(message)}};
}

// Reads `text` along `schema` into `owner`; `rules` are those between the keys.
std::vector<Problem> read_text(std::string_view text, const std::string& file_name, const Table& schema, void* owner,
                               const std::function<std::vector<Problem>(const KeyPositions&)>& rules) {
  if (text.size() > kLargestFile) {
    return one_problem(file_name, {}, fmt::format("is larger than {} bytes", kLargestFile));
  }
  if (const auto position = find_deep_nesting(text))
    return one_problem(file_name, *position, "too many dots in one line");
  toml::table root;
  try {
    root = toml::parse(text, std::string_view(file_name));
  } catch (const toml::parse_error& error) {
    return one_problem(file_name, position_of(error.source()), "this is no TOML: " + printable(error.description()));
  }
  Reader reader(file_name, schema);
  reader.read_table(root, schema, owner, "");
  std::vector<Problem> problems = reader.take_problems();
  std::ranges::move(rules(reader.positions()), std::back_inserter(problems));
  std::ranges::stable_sort(problems, {}, &Problem::position);
  return problems;
}

Result<std::string, std::vector<Problem>> text_of(const std::string& path) {
  const std::unique_ptr<std::FILE, int (*)(std::FILE*)> file(std::fopen(path.c_str(), "re"), std::fclose);
  std::string text;
  if (file != nullptr) {
    text.resize(kLargestFile + 1);
    text.resize(std::fread(text.data(), 1, text.size(), file.get()));
  }
  if (file == nullptr || std::ferror(file.get()) != 0) {
    return one_problem(path, {}, "cannot be read: " + std::generic_category().message(errno));
  }
  return text;
}

}  // namespace

ConfigResult parse_config(std::string_view text, const std::string& file_name) {
  Config config;
  auto problems = read_text(text, file_name, config_schema(), &config,
                            [&](const KeyPositions& positions) { return validate(config, positions, file_name); });
  if (!problems.empty()) return problems;
  return config;
}

ConfigResult load_config(const std::string& path) {
  const auto text = text_of(path);
  if (!text) return text.error();
  return parse_config(*text, path);
}

AgentFileResult parse_agent_file(std::string_view text, const std::string& file_name) {
  AgentFile file;
  auto problems =
      read_text(text, file_name, agent_schema(), &file, [](const KeyPositions&) { return std::vector<Problem>(); });
  if (!problems.empty()) return problems;
  return file;
}

AgentFileResult load_agent_file(const std::string& path) {
  const auto text = text_of(path);
  if (!text) return text.error();
  return parse_agent_file(*text, path);
}

}  // namespace pgkeel
