#include "proxy/base/lsn.h"

#include <charconv>
#include <cstdio>

namespace pgkeel {

std::string format_lsn(Lsn lsn) {
  char text[32];
  std::snprintf(text, sizeof text, "%X/%X", static_cast<unsigned>(lsn.value >> 32),
                static_cast<unsigned>(lsn.value & 0xFFFFFFFFU));
  return text;
}

std::optional<Lsn> parse_lsn(std::string_view text) {
  const auto slash = text.find('/');
  if (slash == std::string_view::npos) return std::nullopt;
  const auto parse_half = [](std::string_view half) -> std::optional<std::uint32_t> {
    std::uint32_t value = 0;
    if (half.empty() || half.size() > 8) return std::nullopt;
    const auto [end, code] = std::from_chars(half.data(), half.data() + half.size(), value, 16);
    if (code != std::errc{} || end != half.data() + half.size()) return std::nullopt;
    return value;
  };
  const auto high = parse_half(text.substr(0, slash));
  const auto low = parse_half(text.substr(slash + 1));
  if (!high || !low) return std::nullopt;
  return Lsn{(static_cast<std::uint64_t>(*high) << 32) | *low};
}

}  // namespace pgkeel
