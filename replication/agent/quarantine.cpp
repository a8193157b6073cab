#include "replication/agent/quarantine.h"

#include <algorithm>
#include <cerrno>
#include <cstring>
#include <filesystem>
#include <sys/stat.h>
#include <unistd.h>
#include <utility>
#include <vector>

#include <nlohmann/json.hpp>

#include "proxy/io/clock.h"
#include "replication/agent/copy_progress.h"
#include "replication/agent/quarantine_entry.h"

namespace pgkeel {
namespace {

using namespace std::chrono_literals;
namespace files = std::filesystem;

constexpr Duration kCopyLimit = 24h;

nlohmann::json report_of(const Divergence& divergence, const std::string& data, const std::string& time_stamp) {
  const auto optional_lsn = [](const std::optional<Lsn>& lsn) {
    return lsn ? nlohmann::json(format_lsn(*lsn)) : nlohmann::json();
  };
  return {{"node", divergence.node},
          {"system_identifier", divergence.system_identifier},
          {"timeline", divergence.timeline},
          {"wal_end", optional_lsn(divergence.wal_end)},
          {"upstream", divergence.upstream},
          {"upstream_timeline", divergence.upstream_timeline},
          {"fork", optional_lsn(divergence.fork)},
          {"fork_timeline", divergence.fork_timeline},
          {"reason", divergence.reason},
          {"time", time_stamp},
          {"data", data}};
}

// The upstream may be another by now: what counts is that the node has not moved on.
bool is_same(const Divergence& one, const Divergence& other) {
  return one.node == other.node && one.system_identifier == other.system_identifier && one.timeline == other.timeline &&
         one.wal_end == other.wal_end;
}

// The copy of it, which nobody took away or began to remove; or its export.
bool has_kept(const QuarantineEntry& entry) {
  const bool copied = entry.data == entry.folder + "/data" && entry.data_exists;
  return (copied || entry.has_export) && entry.removed.empty();
}

// Where what the entry is about is kept.
Result<void> say_where(const std::string& quarantine, const std::string& data) {
  auto report = read_report(quarantine);
  if (!report) return report.error();
  (*report)["data"] = data;
  return write_report(quarantine, *report);
}

PlacingError other_problem(const std::string& message) {
  return {PlacingError::Kind::kOther, message};
}

Result<void, PlacingError> copy_tree(const DataDirectory& directory, const std::string& source,
                                     const std::string& target, const std::function<void()>& each_second) {
  bool for_room = false;
  const auto copied = directory.run_tool({"cp", "-a", "--reflink=auto", "--", source, target}, kCopyLimit, each_second,
                                         [&](std::string_view line) {
                                           for_room = for_room || complains_of_room(line);
                                           return false;
                                         });
  if (copied) return {};
  return PlacingError{for_room ? PlacingError::Kind::kNoRoom : PlacingError::Kind::kOther, copied.error().message};
}

}  // namespace

Result<void, PlacingError> copy_data_directory(const DataDirectory& directory, const std::string& copy,
                                               const std::function<void()>& each_second) {
  if (auto copied = copy_tree(directory, directory.path(), copy, each_second); !copied) return copied;
  for (const files::path link : links_of(copy)) {
    std::error_code problem;
    const auto target = files::canonical(directory.path() / link.lexically_relative(copy), problem);
    if (problem) return other_problem("cannot follow " + link.string() + ": " + problem.message());
    files::remove(link, problem);
    if (problem) return other_problem("cannot replace " + link.string() + ": " + problem.message());
    if (auto copied = copy_tree(directory, target, link, each_second); !copied) return copied;
  }
  return {};
}

Quarantine::Quarantine(std::string folder, const DataDirectory& directory)
    : folder_(folder.empty() ? directory.parent() + "/pgkeel-quarantine" : std::move(folder)), directory_(directory) {}

std::optional<std::string> Quarantine::find(const Divergence& divergence) const {
  if (!divergence.wal_end) return std::nullopt;
  for (const auto& entry : read_quarantine(folder_, directory_.path())) {
    if (has_kept(entry) && is_same(entry.divergence, divergence)) return entry.folder;
  }
  return std::nullopt;
}

bool Quarantine::keeps(const std::string& quarantine) const {
  const auto entry = read_quarantine_entry(quarantine);
  return entry && has_kept(*entry);
}

Result<std::string> Quarantine::make_folder(const std::string& node, const std::string& time_stamp) const {
  std::error_code problem;
  files::create_directories(folder_, problem);
  if (problem) return Error{"cannot create the quarantine " + folder_ + ": " + problem.message()};
  // The server's user works in there, whatever our umask is; what is in it is its own, and not to be listed by others.
  if (geteuid() == 0) {
    files::permissions(folder_, files::perms::group_exec | files::perms::others_exec, files::perm_options::add,
                       problem);
    if (problem) return Error{"cannot open the quarantine " + folder_ + " for its users: " + problem.message()};
  }
  const auto made = folder_ + "/" + node + "-" + time_stamp;
  if (mkdir(made.c_str(), 0700) != 0) return Error{"cannot create " + made + ": " + std::strerror(errno)};
  if (auto owned = own_folder(made); !owned) {
    files::remove_all(made, problem);
    return owned.error();
  }
  return made;
}

Result<void> Quarantine::own_folder(const std::string& made) const {
  const auto owner = directory_.owner();
  if (!owner) return owner.error();
  if (geteuid() == 0 && lchown(made.c_str(), owner->user, owner->group) != 0) {
    return Error{"cannot give " + made + " to " + directory_.os_user() + ": " + std::strerror(errno)};
  }
  return write_durably(made + "/" + kQuarantineSourceFile, directory_.path(), 0644);
}

// The folder may be shared: a node of another cluster may bear the same name, and be copied right now.
void Quarantine::remove_incomplete(const std::string& node) const {
  std::error_code ignored;
  std::vector<files::path> incomplete;
  for (const auto& entry : files::directory_iterator(folder_, ignored)) {
    const auto name = entry.path().filename().string();
    const bool of_node = name.starts_with(node + "-") && name.find('-', node.size() + 1) == std::string::npos;
    if (!of_node || files::exists(entry.path() / "report.json", ignored)) continue;
    const auto source = read_file(entry.path() / kQuarantineSourceFile, 65536);
    if (source && *source == directory_.path()) incomplete.push_back(entry.path());
  }
  for (const auto& folder : incomplete) files::remove_all(folder, ignored);
}

Result<std::string, PlacingError> Quarantine::copy(const Divergence& divergence, const std::string& time_stamp,
                                                   const std::function<void(const std::string&)>& say) const {
  remove_incomplete(divergence.node);
  const auto bytes = disk_bytes_of_copy(directory_.path(), folder_);
  if (auto room = check_room({{folder_, bytes}}, "to set aside what the node alone has"); !room) return room.error();
  const auto made = make_folder(divergence.node, time_stamp);
  if (!made) return problem_in(folder_, made.error());
  if (say) say("setting aside what it alone has");
  if (auto filled = fill(*made, divergence, time_stamp, say); !filled) {
    std::error_code ignored;
    files::remove_all(*made, ignored);  // a full disk stops more than this
    return PlacingError{filled.error().kind, "cannot set aside what the node alone has: " + filled.error().message};
  }
  return *made;
}

Result<void, PlacingError> Quarantine::fill(const std::string& made, const Divergence& divergence,
                                            const std::string& time_stamp,
                                            const std::function<void(const std::string&)>& say) const {
  const auto data = made + "/data";
  CopyProgress progress(data, disk_bytes_of(directory_.path()), say);
  if (auto copied = copy_data_directory(directory_, data, [&] { progress.look(); }); !copied) return copied;
  if (auto synced = sync_file_system(made); !synced) return problem_in(made, synced.error());
  if (auto written = write_report(made, report_of(divergence, "data", time_stamp)); !written)
    return problem_in(made, written.error());
  if (auto synced = sync_folder(folder_); !synced) return problem_in(made, synced.error());
  return {};
}

Result<std::string> Quarantine::make_report(const Divergence& divergence, const std::string& time_stamp,
                                            const std::string& data) const {
  auto made = make_folder(divergence.node, time_stamp);
  if (!made) return made;
  if (auto written = write_report(*made, report_of(divergence, data, time_stamp)); !written) return written.error();
  if (auto synced = sync_folder(folder_); !synced) return synced.error();
  return made;
}

Result<std::string> Quarantine::report_moved(const Divergence& divergence, const std::string& time_stamp,
                                             const std::string& moved_aside) const {
  for (const auto& entry : read_quarantine(folder_, directory_.path())) {
    if (entry.data_exists || entry.has_export || !entry.removed.empty() || !is_same(entry.divergence, divergence))
      continue;
    if (auto said = say_where(entry.folder, moved_aside); !said) return said.error();
    return entry.folder;
  }
  return make_report(divergence, time_stamp, moved_aside);
}

Result<std::string> Quarantine::begin_export(const Divergence& divergence, const std::string& time_stamp) const {
  for (const auto& entry : read_quarantine(folder_, directory_.path())) {
    auto as_then = divergence;
    as_then.wal_end = entry.divergence.wal_end;  // opening it has written to its log
    const bool grown = divergence.wal_end >= entry.divergence.wal_end && divergence.fork == entry.divergence.fork;
    // One of a rebuild that failed, or of an export that was cut off.
    const bool keeps_other = entry.data_exists || (entry.has_export && !entry.data.empty());
    if (keeps_other || !entry.removed.empty() || !grown || !is_same(entry.divergence, as_then)) continue;
    if (!entry.data.empty()) {
      if (auto said = say_where(entry.folder, ""); !said) return said.error();
    }
    if (divergence.wal_end) {
      if (auto noted = note_wal_end(entry.folder, *divergence.wal_end); !noted) return noted.error();
    }
    return entry.folder;
  }
  return make_report(divergence, time_stamp, "");
}

Result<void> Quarantine::note_wal_end(const std::string& quarantine, Lsn wal_end) {
  auto report = read_report(quarantine);
  if (!report) return report.error();
  (*report)["wal_end"] = format_lsn(wal_end);
  return write_report(quarantine, *report);
}

}  // namespace pgkeel
