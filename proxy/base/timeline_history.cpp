#include "proxy/base/timeline_history.h"

#include <charconv>
#include <cstdio>

namespace pgkeel {
namespace {

std::string_view next_word(std::string_view& line) {
  const auto begin = line.find_first_not_of(" \t\r");
  if (begin == std::string_view::npos) return {};
  line.remove_prefix(begin);
  const auto word = line.substr(0, line.find_first_of(" \t\r"));
  line.remove_prefix(word.size());
  return word;
}

}  // namespace

Result<std::vector<TimelineFork>> parse_timeline_history(std::string_view text) {
  std::vector<TimelineFork> forks;
  while (!text.empty()) {
    const auto newline = text.find('\n');
    auto line = text.substr(0, newline);
    text = newline == std::string_view::npos ? std::string_view() : text.substr(newline + 1);
    const auto first = next_word(line);
    if (first.empty() || first.front() == '#') continue;
    TimelineFork fork;
    const auto [end, code] = std::from_chars(first.data(), first.data() + first.size(), fork.timeline);
    const auto lsn = parse_lsn(next_word(line));
    if (code != std::errc{} || end != first.data() + first.size() || !lsn) {
      return Error{"a line of the timeline history is not TIMELINE LSN REASON"};
    }
    fork.end = *lsn;
    if (!forks.empty() && (fork.timeline <= forks.back().timeline || fork.end < forks.back().end)) {
      return Error{"the timeline history does not grow"};
    }
    forks.push_back(fork);
  }
  return forks;
}

std::string timeline_history_file(Timeline timeline) {
  char name[32];
  std::snprintf(name, sizeof name, "%08X.history", timeline);
  return name;
}

std::optional<CommonTimeline> common_timeline(const TimelineHistory& one, const TimelineHistory& other) {
  const auto timeline_at = [](const TimelineHistory& history, std::size_t index) {
    return index < history.forks.size() ? history.forks[index].timeline : history.timeline;
  };
  const auto begin_at = [](const TimelineHistory& history, std::size_t index) {
    return index == 0 ? Lsn{} : history.forks[index - 1].end;
  };
  const auto end_at = [](const TimelineHistory& history, std::size_t index) -> std::optional<Lsn> {
    return index < history.forks.size() ? std::optional(history.forks[index].end) : std::nullopt;
  };
  std::optional<CommonTimeline> common;
  for (std::size_t index = 0; index <= one.forks.size() && index <= other.forks.size(); ++index) {
    if (timeline_at(one, index) != timeline_at(other, index)) break;
    if (begin_at(one, index) != begin_at(other, index)) break;
    const auto one_end = end_at(one, index);
    const auto other_end = end_at(other, index);
    common = CommonTimeline{timeline_at(one, index), one_end};
    if (!one_end || (other_end && *other_end < *one_end)) common->end = other_end;
  }
  return common;
}

}  // namespace pgkeel
