#include "proxy/cli/terminal.h"

#include <algorithm>
#include <cstdlib>
#include <iostream>
#include <sys/ioctl.h>
#include <unistd.h>

namespace pgkeel {
namespace {

constexpr std::string_view kHome = "\033[H";
constexpr std::string_view kClearToEndOfLine = "\033[K";
constexpr std::string_view kClearBelow = "\033[J";

std::string_view escape_of(Paint paint) {
  switch (paint) {
    case Paint::kGood:
      return "\033[32m";
    case Paint::kWarning:
      return "\033[33m";
    case Paint::kBad:
      return "\033[31m";
    case Paint::kPlain:
      break;
  }
  return "";
}

// How many columns it takes: colours take none, nor do the bytes of a character behind its first one.
std::size_t width_of(std::string_view line) {
  std::size_t width = 0;
  bool in_escape = false;
  for (const char c : line) {
    if (c == '\033') in_escape = true;
    const bool continues = (static_cast<unsigned char>(c) & 0xC0U) == 0x80U;
    if (!in_escape && !continues) ++width;
    if (in_escape && c == 'm') in_escape = false;
  }
  return width;
}

std::size_t rows_of(std::string_view line, std::size_t columns) {
  return std::max<std::size_t>(1, (width_of(line) + columns - 1) / columns);
}

std::string_view environment(const char* name) {
  const char* value = std::getenv(name);
  return value == nullptr ? "" : value;
}

}  // namespace

std::string Painter::operator()(Paint paint, std::string_view text) const {
  if (!with_colours_ || paint == Paint::kPlain) return std::string(text);
  return std::string(escape_of(paint)) + std::string(text) + "\033[0m";
}

bool is_terminal(int descriptor) {
  return ::isatty(descriptor) == 1;
}

bool is_told_to_go_on() {
  std::cout << "Go on? [y/N] " << std::flush;
  std::string answer;
  std::getline(std::cin, answer);
  return answer == "y" || answer == "Y" || answer == "yes";
}

bool wants_colours(int descriptor) {
  return is_terminal(descriptor) && environment("NO_COLOR").empty() && environment("TERM") != "dumb";
}

ScreenSize screen_size(int descriptor) {
  winsize size{};
  if (::ioctl(descriptor, TIOCGWINSZ, &size) != 0 || size.ws_row == 0 || size.ws_col == 0) return {};
  return {size.ws_row, size.ws_col};
}

std::string as_screen(std::string_view text, ScreenSize size) {
  std::string screen(kHome);
  std::size_t rows_left = size.rows - 1;  // the last one is the cursor's, or says what is left out
  while (!text.empty()) {
    const auto line = text.substr(0, text.find('\n'));
    const std::size_t rows = rows_of(line, size.columns);
    if (rows > rows_left) {
      const auto lines_left = std::max<std::ptrdiff_t>(1, std::ranges::count(text, '\n'));
      screen += std::string("... ") + std::to_string(lines_left) + " more";
      screen += kClearToEndOfLine;
      break;
    }
    rows_left -= rows;
    screen += line;
    // Behind the last column the cursor still stands in it, and would clear it.
    const std::size_t width = width_of(line);
    if (width == 0 || width % size.columns != 0) screen += kClearToEndOfLine;
    screen += '\n';
    text.remove_prefix(std::min(text.size(), line.size() + 1));
  }
  return screen + std::string(kClearBelow);
}

}  // namespace pgkeel
