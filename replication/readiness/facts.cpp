#include "replication/readiness/facts.h"

#include <array>
#include <charconv>
#include <string_view>

namespace pgkeel {
namespace {

struct Unit {
  std::string_view name;
  std::int64_t factor;
};

// pg_settings' units, in bytes and milliseconds.
constexpr std::array kUnits = {Unit{"B", 1},  Unit{"kB", 1 << 10}, Unit{"8kB", 8 << 10}, Unit{"MB", 1 << 20},
                               Unit{"ms", 1}, Unit{"s", 1000},     Unit{"min", 60'000},  Unit{"", 1}};

}  // namespace

std::optional<std::int64_t> NodeReadinessFacts::number(const std::string& name) const {
  const SettingFacts* found = setting(name);
  if (found == nullptr) return std::nullopt;
  std::int64_t number = 0;
  const char* const end = found->value.data() + found->value.size();
  const auto [read_to, code] = std::from_chars(found->value.data(), end, number);
  if (code != std::errc{} || read_to != end) return std::nullopt;
  if (number < 0) return number;  // -1: a limit that is off
  for (const auto& unit : kUnits) {
    if (unit.name == found->unit) return number * unit.factor;
  }
  return std::nullopt;
}

}  // namespace pgkeel
