#include "tests/support/described_answers.h"

#include <algorithm>
#include <cctype>
#include <string_view>

namespace pgkeel::test {
namespace {

using Json = nlohmann::json;

bool is_of_type(const Json& value, const std::string& type) {
  if (type == "object") return value.is_object();
  if (type == "array") return value.is_array();
  if (type == "string") return value.is_string();
  if (type == "integer") return value.is_number_integer();
  if (type == "number") return value.is_number();
  return type == "boolean" && value.is_boolean();
}

// As format_wall_time() writes it.
bool is_date_time(std::string_view text) {
  constexpr std::string_view kForm = "0000-00-00T00:00:00.000Z";
  return std::ranges::equal(text, kForm,
                            [](char is, char form) { return form == '0' ? is >= '0' && is <= '9' : is == form; });
}

// Each {name} of the pattern stands for one part of a path.
bool fits(std::string_view path, std::string_view pattern) {
  while (!path.empty() && !pattern.empty()) {
    const auto path_end = std::min(path.find('/', 1), path.size());
    const auto pattern_end = std::min(pattern.find('/', 1), pattern.size());
    const bool is_name = pattern.substr(0, pattern_end).starts_with("/{");
    if (!is_name && path.substr(0, path_end) != pattern.substr(0, pattern_end)) return false;
    path.remove_prefix(path_end);
    pattern.remove_prefix(pattern_end);
  }
  return path.empty() && pattern.empty();
}

}  // namespace

const Json& DescribedAnswers::resolve(const Json& part) const {
  const auto reference = part.find("$ref");
  if (reference == part.end()) return part;
  return document_.at(Json::json_pointer(reference->get<std::string>().substr(1)));
}

// A path that is described word by word goes before one with names in it.
const Json* DescribedAnswers::operations_of(const std::string& path) const {
  const Json& paths = document_.at("paths");
  if (const auto same = paths.find(path); same != paths.end()) return &*same;
  for (const auto& [pattern, operations] : paths.items()) {
    if (fits(path, pattern)) return &operations;
  }
  return nullptr;
}

std::vector<std::string> DescribedAnswers::differences(const AnswerToHold& answer) {
  std::string method = answer.method;
  std::ranges::transform(method, method.begin(), [](unsigned char c) { return static_cast<char>(std::tolower(c)); });
  const std::string what = answer.method + " " + answer.path + ", " + std::to_string(answer.status);
  const Json* operations = operations_of(answer.path);
  if (operations == nullptr) return {what + ": the path is not described"};
  // What is said to a GET of a path that is only for POST stands there.
  if (answer.status == 405 && method == "get") method = "post";
  if (!operations->contains(method)) return {what + ": the method is not described"};
  const Json& responses = operations->at(method).at("responses");
  const auto response = responses.find(std::to_string(answer.status));
  if (response == responses.end()) return {what + ": the status is not described"};
  const Json contents = resolve(*response).value("content", Json::object());
  const std::string type = answer.content_type.substr(0, answer.content_type.find(';'));
  if (answer.body.empty() && contents.empty()) return {};
  const auto content = contents.find(type);
  if (content == contents.end()) return {what + ": the content type '" + type + "' is not described"};
  if (type != "application/json") return {};
  const Json body = Json::parse(answer.body, nullptr, false);
  if (body.is_discarded()) return {what + ": the body is no JSON"};
  std::vector<std::string> found;
  // The reference leads into document_, which stays where it is.
  compare(resolve(*response).at("content").at(type).at("schema"), body, what + ": answer", found);
  return found;
}

void DescribedAnswers::compare(const Json& part, const Json& value, const std::string& place,
                               std::vector<std::string>& found) {
  const Json& described = resolve(part);
  if (value.is_null()) {
    if (!described.value("nullable", false)) found.push_back(place + " is null");
    return;
  }
  seen_.insert(&part);
  const std::string type = described.at("type");
  if (!is_of_type(value, type)) return found.push_back(place + " is no " + type + ": " + value.dump());
  if (const auto words = described.find("enum");
      words != described.end() && std::find(words->begin(), words->end(), value) == words->end())
    found.push_back(place + " is " + value.dump() + ", which is none of " + words->dump());
  if (described.value("format", "") == "date-time" && !is_date_time(value.get<std::string>()))
    found.push_back(place + " is no date-time: " + value.dump());
  if (type == "object") compare_members(described, value, place, found);
  if (type != "array") return;
  for (std::size_t i = 0; i < value.size(); ++i)
    compare(described.at("items"), value[i], place + "[" + std::to_string(i) + "]", found);
}

void DescribedAnswers::compare_members(const Json& described, const Json& value, const std::string& place,
                                       std::vector<std::string>& found) {
  if (const auto needed = described.find("required"); needed != described.end()) {
    for (const auto& name : *needed) {
      if (!value.contains(name)) found.push_back(place + " has no " + name.get<std::string>());
    }
  }
  const auto members = described.find("properties");
  const auto others = described.find("additionalProperties");
  if (members == described.end() && others == described.end()) return;  // any object
  for (const auto& [name, member] : value.items()) {
    if (members != described.end() && members->contains(name)) {
      compare(members->at(name), member, place + "." + name, found);
    } else if (others != described.end() && others->is_object()) {
      compare(*others, member, place + "." + name, found);
    } else {
      found.push_back(place + "." + name + " is not described");
    }
  }
}

std::vector<std::string> DescribedAnswers::never_seen(const std::string& schema) const {
  std::vector<std::string> found;
  list_unseen(document_.at("components").at("schemas").at(schema), schema, found);
  return found;
}

void DescribedAnswers::list_unseen(const Json& part, const std::string& place, std::vector<std::string>& found) const {
  const Json& described = resolve(part);
  if (const auto items = described.find("items"); items != described.end()) list_unseen(*items, place + "[]", found);
  const auto members = described.find("properties");
  if (members == described.end()) return;
  for (const auto& [name, member] : members->items()) {
    if (!seen_.contains(&member)) found.push_back(place + "." + name);
    list_unseen(member, place + "." + name, found);
  }
}

const Json& DescribedAnswers::body_of(const std::string& path) const {
  return resolve(operations_of(path)->at("post").at("requestBody").at("content").at("application/json").at("schema"));
}

}  // namespace pgkeel::test
