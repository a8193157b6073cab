#include "proxy/cli/terminal.h"

#include <cstdlib>
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

bool wants_colours(int descriptor) {
  return is_terminal(descriptor) && environment("NO_COLOR").empty() && environment("TERM") != "dumb";
}

std::string as_screen(std::string_view text) {
  std::string screen(kHome);
  for (const char c : text) {
    if (c == '\n') screen += kClearToEndOfLine;
    screen += c;
  }
  return screen + std::string(kClearBelow);
}

}  // namespace pgkeel
