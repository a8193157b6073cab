#include "proxy/app/progress_board.h"

#include <charconv>

namespace pgkeel {
namespace {

constexpr std::string_view kPercentSign = " %";
constexpr std::uint32_t kQuarterPercent = 25;

}  // namespace

std::optional<std::uint32_t> percent_of(std::string_view line) {
  if (!line.ends_with(kPercentSign)) return std::nullopt;
  line.remove_suffix(kPercentSign.size());
  const auto begin = line.find_last_not_of("0123456789") + 1;  // npos + 1: the whole line
  std::uint32_t percent = 0;
  const auto [end, code] = std::from_chars(line.data() + begin, line.data() + line.size(), percent);
  if (code != std::errc{} || end != line.data() + line.size() || percent > 100) return std::nullopt;
  return percent;
}

bool ProgressBoard::take(const std::string& node, const std::string& line) {
  Entry& entry = latest_[node];
  entry.line = line;
  const auto percent = percent_of(line);
  if (!percent) {
    entry.quarters_told = 0;
    return true;
  }
  const std::uint32_t quarters = *percent / kQuarterPercent;
  if (quarters <= entry.quarters_told) return false;
  entry.quarters_told = quarters;
  return true;
}

std::string ProgressBoard::latest(const std::string& node) const {
  const auto found = latest_.find(node);
  return found == latest_.end() ? "" : found->second.line;
}

}  // namespace pgkeel
