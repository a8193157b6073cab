// Timeline history files (PostgreSQL manual, "Timelines"), and where two histories part. Pure. Any thread.
#pragma once

#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "proxy/base/lsn.h"
#include "proxy/base/result.h"

namespace pgkeel {

// The timelines that led to `timeline`, oldest first, each with its end.
struct TimelineHistory {
  std::vector<TimelineFork> forks;
  Timeline timeline = 0;

  [[nodiscard]] Lsn begin() const { return forks.empty() ? Lsn{} : forks.back().end; }
};

// The text of a .history file.
Result<std::vector<TimelineFork>> parse_timeline_history(std::string_view text);

// "0000000A.history"
std::string timeline_history_file(Timeline timeline);

// The last timeline that two servers have in common, and where the first of them left it.
struct CommonTimeline {
  Timeline timeline = 0;
  std::optional<Lsn> end;  // none: both are on it still
};
std::optional<CommonTimeline> common_timeline(const TimelineHistory& one, const TimelineHistory& other);

}  // namespace pgkeel
