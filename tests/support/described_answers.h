// Holds answers of the admin endpoint against openapi.json, strictly: what is not described there is as wrong as what
// is described and lacks. One thread.
#pragma once

#include <set>
#include <string>
#include <vector>

#include <nlohmann/json.hpp>

namespace pgkeel::test {

struct AnswerToHold {
  std::string method;  // "GET"
  std::string path;    // as it was asked for, without what follows a '?'
  int status = 0;
  std::string content_type;
  std::string body;
};

class DescribedAnswers {
 public:
  explicit DescribedAnswers(const std::string& document) : document_(nlohmann::json::parse(document)) {}

  // A line for each difference; none: it is as described.
  std::vector<std::string> differences(const AnswerToHold& answer);
  // Described members below `schema` (a name of components/schemas) that no answer so far had with another value than
  // null.
  [[nodiscard]] std::vector<std::string> never_seen(const std::string& schema) const;
  // What a POST of this path may have in its body: the schema.
  [[nodiscard]] const nlohmann::json& body_of(const std::string& path) const;

 private:
  using Json = nlohmann::json;
  [[nodiscard]] const Json& resolve(const Json& part) const;
  [[nodiscard]] const Json* operations_of(const std::string& path) const;
  void compare(const Json& described, const Json& value, const std::string& place, std::vector<std::string>& found);
  void compare_members(const Json& described, const Json& value, const std::string& place,
                       std::vector<std::string>& found);
  void list_unseen(const Json& described, const std::string& place, std::vector<std::string>& found) const;

  Json document_;
  std::set<const Json*> seen_;  // schemas of the document
};

}  // namespace pgkeel::test
