// One command of a scenario, taken apart: a word, plain arguments, and key=value pairs. Tests only.
#pragma once

#include <map>
#include <string>
#include <vector>

#include "proxy/base/lsn.h"
#include "proxy/base/time.h"

namespace pgkeel::scenarios {

struct Arguments {
  std::string word;
  std::vector<std::string> plain;
  std::map<std::string, std::string> named;

  [[nodiscard]] bool has(const std::string& key) const { return named.contains(key); }
  [[nodiscard]] bool flag(const std::string& word_wanted) const;
  [[nodiscard]] const std::string& at(std::size_t index) const;  // throws where the command is too short
  [[nodiscard]] std::string rest(std::size_t from) const;        // plain arguments, joined again
};

// "done promote b upstream=a": arguments in order, key=value apart.
Arguments parse_arguments(const std::string& line);

Duration parse_duration(const std::string& text);  // "250ms", "3s", "10m"
Lsn lsn_of(const std::string& text);
std::vector<std::string> split(const std::string& text, char separator);
std::vector<TimelineFork> parse_history(const std::string& text);  // "1@0/3000,2@0/4000"

}  // namespace pgkeel::scenarios
