#include "tests/scenarios/script_arguments.h"

#include <algorithm>
#include <sstream>
#include <stdexcept>

namespace pgkeel::scenarios {

bool Arguments::flag(const std::string& word_wanted) const {
  return std::ranges::find(plain, word_wanted) != plain.end();
}

const std::string& Arguments::at(std::size_t index) const {
  if (index >= plain.size()) throw std::runtime_error(word + ": an argument is missing");
  return plain[index];
}

std::string Arguments::rest(std::size_t from) const {
  std::string joined;
  for (std::size_t i = from; i < plain.size(); ++i) joined += (joined.empty() ? "" : " ") + plain[i];
  return joined;
}

Arguments parse_arguments(const std::string& line) {
  Arguments arguments;
  std::istringstream words(line);
  words >> arguments.word;
  for (std::string word; words >> word;) {
    const auto equals = word.find('=');
    if (equals == std::string::npos || word.find('(') < equals) {
      arguments.plain.push_back(word);
    } else {
      arguments.named[word.substr(0, equals)] = word.substr(equals + 1);
    }
  }
  return arguments;
}

Duration parse_duration(const std::string& text) {
  std::size_t digits = 0;
  const long long count = std::stoll(text, &digits);
  const std::string unit = text.substr(digits);
  if (unit == "ms") return std::chrono::milliseconds(count);
  if (unit == "s") return std::chrono::seconds(count);
  if (unit == "m") return std::chrono::minutes(count);
  throw std::runtime_error("not a duration: " + text);
}

Lsn lsn_of(const std::string& text) {
  const auto lsn = parse_lsn(text);
  if (!lsn) throw std::runtime_error("not a position in the WAL: " + text);
  return *lsn;
}

std::vector<std::string> split(const std::string& text, char separator) {
  std::vector<std::string> parts;
  std::istringstream stream(text);
  for (std::string part; std::getline(stream, part, separator);) {
    if (!part.empty()) parts.push_back(part);
  }
  return parts;
}

std::vector<TimelineFork> parse_history(const std::string& text) {
  std::vector<TimelineFork> history;
  for (const auto& entry : split(text, ',')) {
    const auto parts = split(entry, '@');
    if (parts.size() != 2) throw std::runtime_error("not a timeline history: " + text);
    history.push_back({static_cast<Timeline>(std::stoul(parts[0])), lsn_of(parts[1])});
  }
  return history;
}

}  // namespace pgkeel::scenarios
