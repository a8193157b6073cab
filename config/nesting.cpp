#include "config/nesting.h"

#include <cstdint>

namespace pgkeel {
namespace {

// Our deepest key has 4. toml++ takes 256 levels of values, so what it builds is less than 256 × 32 deep.
constexpr std::uint32_t kMostDotsOnALine = 32;

}  // namespace

std::optional<Position> find_deep_nesting(std::string_view text) {
  constexpr std::string_view kThreeBasic = R"(""")";
  constexpr std::string_view kThreeLiteral = "'''";
  std::string_view closing;  // of the string that we are in; empty: in none
  bool in_comment = false;
  std::uint32_t line = 1;
  std::uint32_t dots = 0;
  for (std::size_t i = 0; i < text.size(); ++i) {
    const std::string_view rest = text.substr(i);
    if (rest[0] == '\n') {
      ++line;
      dots = 0;
      in_comment = false;
      if (closing.size() == 1) closing = {};
    } else if (in_comment) {
      continue;
    } else if (!closing.empty()) {
      const bool escape = closing[0] == '"' && rest[0] == '\\';
      if (rest.starts_with(closing)) {
        i += closing.size() - 1;
        closing = {};
      } else if (escape && rest.size() > 1 && rest[1] != '\n') {
        ++i;
      }
    } else if (rest[0] == '#') {
      in_comment = true;
    } else if (rest[0] == '"' || rest[0] == '\'') {
      const std::string_view three = rest[0] == '"' ? kThreeBasic : kThreeLiteral;
      closing = rest.starts_with(three) ? three : three.substr(0, 1);
      i += closing.size() - 1;
    } else if (rest[0] == '.' && ++dots > kMostDotsOnALine) {
      return Position{.line = line, .column = 1};
    }
  }
  return std::nullopt;
}

}  // namespace pgkeel
