#include "replication/agent/quarantine_bound.h"

#include <algorithm>
#include <charconv>
#include <filesystem>
#include <optional>

#include "config/values.h"
#include "replication/agent/data_directory.h"
#include "replication/agent/diverged_copy.h"
#include "replication/agent/lost_report.h"
#include "replication/agent/rejoin_marker.h"

namespace pgkeel {
namespace {

namespace files = std::filesystem;

// "20261123T081530.123Z"
std::optional<WallTime> time_of(const std::string& stamp) {
  const auto number = [&](std::size_t begin, std::size_t length) {
    int value = -1;
    if (stamp.size() < begin + length) return value;
    std::from_chars(stamp.data() + begin, stamp.data() + begin + length, value);
    return value;
  };
  const std::chrono::year_month_day day{std::chrono::year(number(0, 4)),
                                        std::chrono::month(static_cast<unsigned>(number(4, 2))),
                                        std::chrono::day(static_cast<unsigned>(number(6, 2)))};
  const int hours = number(9, 2);
  const int minutes = number(11, 2);
  const int seconds = number(13, 2);
  if (!day.ok() || hours < 0 || minutes < 0 || seconds < 0) return std::nullopt;
  const auto since = std::chrono::sys_days(day).time_since_epoch() + std::chrono::hours(hours) +
                     std::chrono::minutes(minutes) + std::chrono::seconds(seconds);
  return WallTime(since);
}

std::uint64_t bytes_of(const QuarantineEntry& entry) {
  const auto own = disk_bytes_of(entry.folder);
  const bool elsewhere = entry.data_exists && !entry.data.starts_with(entry.folder + "/");
  return own + (elsewhere ? disk_bytes_of(entry.data) : 0);
}

// A directory that was moved aside goes with its entry; what its links lead to (a log, tablespaces elsewhere) stays.
std::string remove_entry(const QuarantineEntry& entry, const std::string& data_directory) {
  std::string told;
  std::error_code problem;
  const bool elsewhere = entry.data_exists && !entry.data.starts_with(entry.folder + "/");
  if (elsewhere && entry.data.starts_with(data_directory + ".replaced-")) {
    const bool linked =
        files::is_symlink(entry.data + "/pg_wal", problem) || !files::is_empty(entry.data + "/pg_tblspc", problem);
    files::remove_all(entry.data, problem);
    if (problem) return "cannot remove " + entry.data + ": " + problem.message();
    told = " with " + entry.data;
    if (linked) told += " (the log or tablespaces that it linked to stay)";
  }
  // The report goes last: what is left of a removal that was cut off is found again by it.
  for (const auto& file : files::directory_iterator(entry.folder, problem)) {
    if (file.path().filename() != "report.json" && file.path().filename() != kQuarantineSourceFile) {
      files::remove_all(file.path(), problem);
    }
  }
  files::remove_all(entry.folder, problem);
  if (problem) return "cannot remove " + entry.folder + ": " + problem.message();
  return "removed " + entry.folder + told;
}

}  // namespace

std::vector<QuarantineRemoval> choose_removals(std::vector<QuarantineFact> facts, const QuarantineConfig& bounds,
                                               WallTime now) {
  std::vector<QuarantineRemoval> removals;
  std::ranges::sort(facts, {}, &QuarantineFact::made_at);
  std::uint64_t bytes = 0;
  for (const auto& fact : facts) bytes += fact.bytes;
  for (const auto& fact : facts) {
    if (fact.in_use || !fact.told) continue;
    const bool is_newest = &fact == &facts.back();
    std::string reason;
    if (now - fact.made_at > bounds.max_age) {
      reason = "it is older than " + format_whole_duration(bounds.max_age);
    } else if (bounds.max_bytes != 0 && bytes > bounds.max_bytes && !is_newest) {
      reason = "all of them take " + std::to_string(bytes) + " bytes, more than " + std::to_string(bounds.max_bytes);
    }
    if (reason.empty()) continue;
    bytes -= fact.bytes;
    removals.push_back({fact.id, std::move(reason)});
  }
  return removals;
}

std::vector<std::string> bound_quarantine(const LocalServerConfig& local, const QuarantineConfig& bounds,
                                          WallTime now) {
  const DataDirectory directory(local);
  const RejoinMarker marker(directory);
  const auto progress = marker.exists() ? marker.read() : Result<RejoinProgress>(Error{});
  const auto entries = read_quarantine(quarantine_folder_of(local), directory.path());
  std::vector<QuarantineFact> facts;
  for (const auto& entry : entries) {
    const auto made_at = time_of(entry.time);
    if (!made_at) continue;  // not of ours
    // A marker that cannot be read keeps all.
    const bool of_rejoin = marker.exists() && (!progress || progress->quarantine == entry.folder);
    const bool holds_nothing = !entry.data_exists && !entry.has_export;  // somebody took it away
    facts.push_back({.id = entry.id,
                     .made_at = *made_at,
                     .bytes = bytes_of(entry),
                     .in_use = of_rejoin || is_in_use(entry.folder),
                     .told = entry.examined || holds_nothing});
  }
  std::vector<std::string> lines;
  for (const auto& removal : choose_removals(std::move(facts), bounds, now)) {
    const auto entry = std::ranges::find(entries, removal.id, &QuarantineEntry::id);
    const auto what = entry->examined ? lost_text(*entry) : std::string("nothing any more");
    lines.push_back(remove_entry(*entry, directory.path()) + ", which held " + what + ": " + removal.reason);
  }
  return lines;
}

}  // namespace pgkeel
