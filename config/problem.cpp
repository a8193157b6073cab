#include "config/problem.h"

#include <algorithm>
#include <array>
#include <numeric>

#include <fmt/format.h>

namespace pgkeel {
namespace {

constexpr std::size_t kLongestQuote = 80;
constexpr std::size_t kLongestComparedName = 64;

// How many bytes the UTF-8 character at the beginning of `text` has; 0 where it is none, or one that does not print.
std::size_t printable_length(std::string_view text) {
  const auto first = static_cast<unsigned char>(text[0]);
  if (first < 0x20 || first == 0x7F) return 0;
  if (first < 0x80) return 1;
  const std::size_t length = first >= 0xF0 ? 4 : first >= 0xE0 ? 3 : first >= 0xC2 ? 2 : 0;
  if (length == 0 || first > 0xF4 || text.size() < length) return 0;
  for (std::size_t i = 1; i < length; ++i) {
    if ((static_cast<unsigned char>(text[i]) & 0xC0U) != 0x80U) return 0;
  }
  const bool c1_control = first == 0xC2 && static_cast<unsigned char>(text[1]) < 0xA0;
  return c1_control ? 0 : length;
}

// Insertions, deletions, replacements and swaps of neighbours that turn `left` into `right`.
std::size_t edit_distance(std::string_view left, std::string_view right) {
  std::array<std::size_t, kLongestComparedName + 1> before_last{};
  std::array<std::size_t, kLongestComparedName + 1> last{};
  std::array<std::size_t, kLongestComparedName + 1> row{};
  std::iota(last.begin(), last.end(), std::size_t{0});
  for (std::size_t i = 1; i <= left.size(); ++i) {
    row[0] = i;
    for (std::size_t j = 1; j <= right.size(); ++j) {
      const std::size_t replaced = last[j - 1] + (left[i - 1] == right[j - 1] ? 0 : 1);
      row[j] = std::min({last[j] + 1, row[j - 1] + 1, replaced});
      if (i > 1 && j > 1 && left[i - 1] == right[j - 2] && left[i - 2] == right[j - 1]) {
        row[j] = std::min(row[j], before_last[j - 2] + 1);
      }
    }
    before_last = last;
    last = row;
  }
  return last[right.size()];
}

}  // namespace

std::string format_problem(const Problem& problem) {
  if (problem.position.line == 0) return fmt::format("{}: {}", problem.file, problem.message);
  return fmt::format("{}:{}:{}: {}", problem.file, problem.position.line, problem.position.column, problem.message);
}

std::string format_problems(const std::vector<Problem>& problems, std::size_t most) {
  std::string text;
  for (const auto& line : problem_lines(problems, most)) text += line + "\n";
  return text;
}

std::vector<std::string> problem_lines(const std::vector<Problem>& problems, std::size_t most) {
  std::vector<std::string> lines;
  const std::size_t shown = std::min(problems.size(), most);
  for (std::size_t i = 0; i < shown; ++i) lines.push_back(format_problem(problems[i]));
  if (shown < problems.size()) lines.push_back(fmt::format("and {} more", problems.size() - shown));
  return lines;
}

std::string quoted(std::string_view text) {
  std::string out = "\"";
  while (!text.empty()) {
    if (out.size() > kLongestQuote) return out + "…\"";
    const std::size_t length = printable_length(text);
    if (length == 0) {
      out += fmt::format("\\x{:02x}", static_cast<unsigned char>(text[0]));
    } else if (text[0] == '"' || text[0] == '\\') {
      out += {'\\', text[0]};
    } else {
      out += text.substr(0, length);
    }
    text.remove_prefix(std::max<std::size_t>(length, 1));
  }
  return out + "\"";
}

std::string_view nearest_name(std::string_view name, const std::vector<std::string_view>& candidates) {
  std::string_view nearest;
  std::size_t nearest_distance = std::max<std::size_t>(name.size() / 3, 1) + 1;
  if (name.size() > kLongestComparedName) return nearest;
  for (const std::string_view candidate : candidates) {
    if (candidate.size() > kLongestComparedName) continue;
    const std::size_t distance = edit_distance(name, candidate);
    if (distance < nearest_distance) {
      nearest = candidate;
      nearest_distance = distance;
    }
  }
  return nearest;
}

}  // namespace pgkeel
