#include "proxy/io/conninfo.h"

#include <memory>

#include <libpq-fe.h>

namespace pgkeel {

Result<std::map<std::string, std::string>> parse_conninfo(const std::string& conninfo) {
  char* problem = nullptr;
  const std::unique_ptr<PQconninfoOption, decltype(&PQconninfoFree)> options(
      PQconninfoParse(conninfo.c_str(), &problem), PQconninfoFree);
  const std::unique_ptr<char, decltype(&PQfreemem)> problem_owner(problem, PQfreemem);
  if (!options) return Error{problem != nullptr ? problem : "out of memory"};
  std::map<std::string, std::string> settings;
  for (const auto* option = options.get(); option->keyword != nullptr; ++option) {
    if (option->val != nullptr) settings[option->keyword] = option->val;
  }
  return settings;
}

std::string format_conninfo(const std::map<std::string, std::string>& settings) {
  std::string text;
  for (const auto& [key, value] : settings) {
    if (!text.empty()) text += ' ';
    text += key + "='";
    for (const char letter : value) {
      if (letter == '\'' || letter == '\\') text += '\\';
      text += letter;
    }
    text += '\'';
  }
  return text;
}

}  // namespace pgkeel
