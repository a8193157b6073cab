#include "replication/agent/quarantine_bound.h"

#include <algorithm>
#include <cerrno>
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
  const auto text = report->dump(2, ' ', false, nlohmann::json::error_handler_t::replace) + "\n";
  return write_durably(folder + "/report.json", text, 0644);
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

// A directory that was moved aside goes too; what its links lead to (a log, tablespaces elsewhere) stays.
std::string remove_data(const QuarantineEntry& entry, const std::string& data_directory, const std::string& reason) {
  const auto failed = [&](const std::string& path, const std::string& why) {
    return "cannot remove " + path + ", although " + reason + ": " + why;
  };
  // On a full disk the room comes first.
  const bool noted_first = note_removal(entry.folder, reason).has_value();
  std::string told;
  std::error_code problem;
  const bool elsewhere = entry.data_exists && !entry.data.starts_with(entry.folder + "/");
  if (elsewhere && entry.data.starts_with(data_directory + ".replaced-")) {
    const bool linked = !links_of(entry.data).empty();
    files::remove_all(entry.data, problem);
    if (problem) return failed(entry.data, problem.message());
    told = " and " + entry.data;
    if (linked) told += " (the log or tablespaces that it linked to stay)";
  }
  if (problem = empty_folder(entry); problem) return failed(entry.folder, problem.message());
  if (!noted_first) {
    if (const auto noted = note_removal(entry.folder, reason); !noted)
      return failed(entry.folder, noted.error().message);
  }
  return "removed what " + entry.folder + " kept" + told + ", which held " + lost_text(entry) + ": " + reason +
         "; its report stays";
}

}  // namespace

RemovalLock::RemovalLock(const std::string& quarantine_folder)
    : folder_(open(quarantine_folder.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC | O_NOFOLLOW)),
      is_taken_(folder_ >= 0 && flock(folder_, LOCK_EX | LOCK_NB) != 0 && errno == EWOULDBLOCK) {}

RemovalLock::~RemovalLock() {
  if (folder_ >= 0) close(folder_);
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
  std::vector<QuarantineFact> facts;
  for (const auto& entry : entries) {
    const auto age = note_age(entry.folder);
    if (!entry.removed.empty() && !is_in_use(entry.folder)) empty_folder(entry);  // a removal that was cut off
    if (!entry.data_exists && !entry.has_export) continue;
    facts.push_back({.id = entry.id,
                     .age = age,
                     .bytes = bytes_of(entry),
                     .in_use = of_rejoin(entry) || is_in_use(entry.folder),
                     .told = entry.examined});
  }
  std::vector<std::string> lines;
  for (const auto& removal : choose_removals(std::move(facts), bounds)) {
    const auto entry = std::ranges::find(entries, removal.id, &QuarantineEntry::id);
    const RemovalLock lock(entry->folder);
    // A rejoin writes its marker, and then looks whether somebody is about to remove what it relies on.
    if (!lock.is_taken() && !of_rejoin(*entry)) lines.push_back(remove_data(*entry, directory.path(), removal.reason));
  }
  return lines;
}

}  // namespace pgkeel
