#include "replication/agent/quarantine_bound.h"

#include <algorithm>
#include <cerrno>
#include <cstring>
#include <fcntl.h>
#include <filesystem>
#include <sys/file.h>
#include <unistd.h>

#include <nlohmann/json.hpp>

#include "config/values.h"
#include "proxy/io/clock.h"
#include "proxy/io/durable_file.h"
#include "replication/agent/data_directory.h"
#include "replication/agent/diverged_copy.h"
#include "replication/agent/lost_report.h"
#include "replication/agent/quarantine_age.h"
#include "replication/agent/quarantine_care.h"
#include "replication/agent/rejoin_marker.h"
#include "replication/agent/room.h"

namespace pgkeel {
namespace {

namespace files = std::filesystem;

constexpr const char* kRemovingTag = ".pgkeel-removing";  // at the end of the name of what is being removed

std::uint64_t bytes_of(const QuarantineEntry& entry) {
  const auto own = disk_bytes_of(entry.folder);
  const bool elsewhere = entry.data_exists && !entry.data.starts_with(entry.folder + "/");
  return own + (elsewhere ? disk_bytes_of(entry.data) : 0);
}

// What stays of an entry: what was lost, and by whose data directory; who was told of it; how old it is.
bool stays(const std::string& name, const std::string& transactions_file) {
  return name == "report.json" || name == transactions_file || name == kQuarantineSourceFile ||
         name == kQuarantineAgeFile || name == kAnnouncedFile;
}

Result<void> note_removal(const std::string& folder, const std::string& reason) {
  auto report = read_report(folder);
  if (!report) return report.error();
  (*report)[kQuarantineRemoved] = {{"time", format_wall_time(wall_now())}, {"reason", reason}};
  return write_report(folder, *report);
}

// All that can go of an entry's folder; the first problem.
std::error_code empty_folder(const QuarantineEntry& entry) {
  const auto report = read_report(entry.folder);
  const auto transactions_file = report ? transactions_file_of(*report) : std::string();
  std::vector<files::path> going;
  std::error_code first;
  for (const auto& file : files::directory_iterator(entry.folder, first)) {
    if (!stays(file.path().filename(), transactions_file)) going.push_back(file.path());
  }
  for (const auto& path : going) {
    std::error_code problem;
    files::remove_all(path, problem);
    if (problem && !first) first = problem;
  }
  return first;
}

// A report is the server's user's to edit, and we may be root: nothing goes but what a rejoin moved aside.
bool is_moved_aside(const std::string& data, const std::string& data_directory) {
  const auto begin = data_directory + ".replaced-";
  return data.starts_with(begin) && data.find('/', begin.size()) == std::string::npos;
}

// Where an entry has what somebody may rely on.
std::vector<std::string> kept_by(const QuarantineEntry& entry, const std::string& data_directory) {
  std::vector<std::string> paths = {entry.folder + "/data", entry.folder + "/export"};
  if (is_moved_aside(entry.data, data_directory)) paths.push_back(entry.data);
  return paths;
}

bool was_cut_off(const QuarantineEntry& entry, const std::string& data_directory) {
  std::error_code ignored;
  return !entry.removed.empty() || std::ranges::any_of(kept_by(entry, data_directory), [&](const std::string& path) {
    return files::exists(path + kRemovingTag, ignored);
  });
}

// Under the RemovalLock. It gets another name first: from then on nobody takes what is half removed for whole, and
// where this is cut off the rest is found by that name.
Result<void> remove_kept(const QuarantineEntry& entry, const std::string& data_directory) {
  const auto paths = kept_by(entry, data_directory);
  const auto remove_all = [](const std::string& path) -> Result<void> {
    std::error_code problem;
    files::remove_all(path, problem);
    if (problem) return Error{"cannot remove " + path + ": " + problem.message()};
    return {};
  };
  for (const auto& path : paths) {
    if (auto removed = remove_all(path + kRemovingTag); !removed) return removed;
    if (rename(path.c_str(), (path + kRemovingTag).c_str()) != 0 && errno != ENOENT)
      return Error{"cannot rename " + path + ": " + std::strerror(errno)};
  }
  for (const auto& path : paths) {
    if (auto removed = remove_all(path + kRemovingTag); !removed) return removed;
  }
  if (const auto problem = empty_folder(entry); problem)
    return Error{"cannot remove all in " + entry.folder + ": " + problem.message()};
  return {};
}

// What the links of a directory that was moved aside lead to (a log, tablespaces elsewhere) stays.
std::string remove_data(const QuarantineEntry& entry, const std::string& data_directory, const std::string& reason) {
  // On a full disk the room comes first.
  const bool noted_first = note_removal(entry.folder, reason).has_value();
  std::string told;
  if (entry.data_exists && is_moved_aside(entry.data, data_directory)) {
    told = " and " + entry.data;
    if (!links_of(entry.data).empty()) told += " (the log or tablespaces that it linked to stay)";
  }
  auto removed = remove_kept(entry, data_directory);
  if (removed && !noted_first) removed = note_removal(entry.folder, reason);
  if (!removed) return removed.error().message + ", although " + reason;
  return "removed what " + entry.folder + " kept" + told + ", which held " + lost_text(entry) + ": " + reason +
         "; its report stays";
}

}  // namespace

// Any doubt counts as not held: the one side then removes nothing, and the other relies on nothing.
RemovalLock::RemovalLock(const std::string& quarantine_folder) {
  const Descriptor folder(open(quarantine_folder.c_str(), O_PATH | O_DIRECTORY | O_CLOEXEC | O_NOFOLLOW));
  const auto open_file = [&](int access) {
    return Descriptor(openat(folder.number(), kQuarantineSourceFile, access | O_CLOEXEC | O_NOFOLLOW | O_NONBLOCK));
  };
  if (folder.is_open()) file_ = open_file(O_RDWR);
  if (folder.is_open() && !file_.is_open()) file_ = open_file(O_RDONLY);
  if (file_.is_open() && flock(file_.number(), LOCK_EX | LOCK_NB) == 0) return;
  const int problem = errno;
  is_taken_ = file_.is_open() && problem == EWOULDBLOCK;
  problem_ = is_taken_ ? "what " + quarantine_folder + " keeps is being removed, or relied on"
                       : "what " + quarantine_folder + " keeps cannot be locked: " + std::strerror(problem);
}

std::vector<QuarantineRemoval> choose_removals(std::vector<QuarantineFact> facts, const QuarantineConfig& bounds) {
  std::vector<QuarantineRemoval> removals;
  std::ranges::sort(facts, [](const QuarantineFact& one, const QuarantineFact& other) {
    return one.age != other.age ? one.age > other.age : one.id < other.id;
  });
  std::uint64_t bytes = 0;
  for (const auto& fact : facts) bytes += fact.bytes;
  for (const auto& fact : facts) {
    if (fact.in_use || !fact.told) continue;
    const bool is_newest = &fact == &facts.back();
    std::string reason;
    if (fact.age > bounds.max_age) {
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

std::vector<std::string> bound_quarantine(const LocalServerConfig& local, const QuarantineConfig& bounds) {
  const DataDirectory directory(local);
  const RejoinMarker marker(directory);
  // A marker that cannot be read keeps all.
  const auto of_rejoin = [&](const QuarantineEntry& entry) {
    if (!marker.exists()) return false;
    const auto progress = marker.read();
    return !progress || progress->quarantine == entry.folder;
  };
  const auto entries = read_quarantine(quarantine_folder_of(local), directory.path());
  std::vector<std::string> lines;
  std::vector<QuarantineFact> facts;
  for (const auto& entry : entries) {
    const auto age = note_age(entry.folder);
    if (was_cut_off(entry, directory.path())) {
      const RemovalLock lock(entry.folder);
      if (!lock.is_held() || of_rejoin(entry) || is_in_use(entry.folder)) continue;
      const auto removed = remove_kept(entry, directory.path());
      if (!removed || !entry.removed.empty()) continue;  // the next look tries again; or it was told
      if (const auto noted = note_removal(entry.folder, "it was over the bounds of the quarantine"); !noted)
        lines.push_back(noted.error().message);
      continue;
    }
    if (!entry.data_exists && !entry.has_export) continue;
    facts.push_back({.id = entry.id,
                     .age = age,
                     .bytes = bytes_of(entry),
                     .in_use = of_rejoin(entry) || is_in_use(entry.folder),
                     .told = entry.examined});
  }
  for (const auto& removal : choose_removals(std::move(facts), bounds)) {
    const auto entry = std::ranges::find(entries, removal.id, &QuarantineEntry::id);
    const RemovalLock lock(entry->folder);
    if (!lock.is_held() && !lock.is_taken()) lines.push_back(lock.problem() + ", although " + removal.reason);
    // A rejoin writes its marker, and then looks whether somebody is about to remove what it relies on.
    if (lock.is_held() && !of_rejoin(*entry) && !is_in_use(entry->folder))
      lines.push_back(remove_data(*entry, directory.path(), removal.reason));
  }
  return lines;
}

}  // namespace pgkeel
