#include "replication/agent/quarantine.h"

#include <algorithm>
#include <cerrno>
#include <cstring>
#include <fcntl.h>
#include <filesystem>
#include <linux/fs.h>
#include <sys/ioctl.h>
#include <sys/stat.h>
#include <sys/statvfs.h>
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

// The folders that a data directory has elsewhere: pg_wal and tablespaces, as links.
std::vector<files::path> linked_folders(const files::path& data_directory) {
  std::vector<files::path> links;
  std::error_code ignored;
  if (files::is_symlink(data_directory / "pg_wal", ignored)) links.push_back(data_directory / "pg_wal");
  for (const auto& entry : files::directory_iterator(data_directory / "pg_tblspc", ignored)) {
    if (entry.is_symlink(ignored)) links.push_back(entry.path());
  }
  return links;
}

std::uint64_t disk_bytes_below(const files::path& folder) {
  std::uint64_t bytes = 0;
  std::error_code problem;
  const auto options = files::directory_options::skip_permission_denied;
  for (auto entry = files::recursive_directory_iterator(folder, options, problem);
       !problem && entry != files::recursive_directory_iterator(); entry.increment(problem)) {
    struct stat status {};
    if (lstat(entry->path().c_str(), &status) == 0) bytes += static_cast<std::uint64_t>(status.st_blocks) * 512;
  }
  return bytes;
}

std::string in_megabytes(std::uint64_t bytes) {
  return std::to_string((bytes >> 20) + 1) + " MB";
}

// The upstream may be another by now: what counts is that the node has not moved on.
bool is_same(const Divergence& one, const Divergence& other) {
  return one.node == other.node && one.system_identifier == other.system_identifier && one.timeline == other.timeline &&
         one.wal_end == other.wal_end;
}

files::path nearest_existing(files::path path) {
  std::error_code ignored;
  while (!files::exists(path, ignored) && path.has_relative_path()) path = path.parent_path();
  return path;
}

}  // namespace

bool can_share_blocks(const std::string& source, const std::string& folder) {
  const int from = open(source.c_str(), O_RDONLY | O_CLOEXEC);
  const int to = open(folder.c_str(), O_TMPFILE | O_WRONLY | O_CLOEXEC, 0600);
  const bool shared = from >= 0 && to >= 0 && ioctl(to, FICLONE, from) == 0;
  if (from >= 0) close(from);
  if (to >= 0) close(to);
  return shared;
}

Result<void> check_room_in(const std::string& folder, std::uint64_t bytes, const std::string& for_what) {
  const auto place = nearest_existing(folder);
  struct statvfs space {};
  if (statvfs(place.c_str(), &space) != 0) return Error{"cannot tell the room in " + place.string()};
  const std::uint64_t free_bytes = std::uint64_t{space.f_bavail} * space.f_frsize;
  if (free_bytes / 20 * 19 >= bytes) return {};
  return Error{"no room " + for_what + ": it takes " + in_megabytes(bytes) + ", and in " + folder +
               " there is room for " + in_megabytes(free_bytes)};
}

Result<void> copy_data_directory(const DataDirectory& directory, const std::string& copy,
                                 const std::function<void()>& each_second) {
  const auto copied =
      directory.run_tool({"cp", "-a", "--reflink=auto", "--", directory.path(), copy}, kCopyLimit, each_second);
  if (!copied) return copied.error();
  for (const auto& link : linked_folders(copy)) {
    std::error_code problem;
    const auto target = files::canonical(directory.path() / link.lexically_relative(copy), problem);
    if (problem) return Error{"cannot follow " + link.string() + ": " + problem.message()};
    files::remove(link, problem);
    if (problem) return Error{"cannot replace " + link.string() + ": " + problem.message()};
    const auto moved = directory.run_tool({"cp", "-a", "--reflink=auto", "--", target, link}, kCopyLimit, each_second);
    if (!moved) return moved.error();
  }
  return {};
}

std::uint64_t disk_bytes_of(const std::string& folder) {
  std::uint64_t bytes = disk_bytes_below(folder);
  for (const auto& link : linked_folders(folder)) bytes += disk_bytes_below(link / "");
  return bytes;
}

Quarantine::Quarantine(std::string folder, const DataDirectory& directory)
    : folder_(folder.empty() ? directory.parent() + "/pgkeel-quarantine" : std::move(folder)), directory_(directory) {}

std::optional<std::string> Quarantine::find(const Divergence& divergence) const {
  if (!divergence.wal_end) return std::nullopt;
  for (const auto& entry : read_quarantine(folder_, directory_.path())) {
    const bool copied = entry.data == entry.folder + "/data" && entry.data_exists;  // nobody took the copy away
    if ((copied || entry.has_export) && is_same(entry.divergence, divergence)) return entry.folder;
  }
  return std::nullopt;
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
  const auto owner = directory_.owner();
  if (!owner) return owner.error();
  if (geteuid() == 0 && lchown(made.c_str(), owner->user, owner->group) != 0) {
    return Error{"cannot give " + made + " to " + directory_.os_user() + ": " + std::strerror(errno)};
  }
  if (auto marked = write_durably(made + "/" + kQuarantineSourceFile, directory_.path(), 0644); !marked)
    return marked.error();
  return made;
}

Result<void> Quarantine::check_room_for_copy() const {
  if (can_share_blocks(directory_.file("global/pg_control"), nearest_existing(folder_))) return {};
  return check_room_in(folder_, disk_bytes_of(directory_.path()), "to set aside what the node alone has");
}

// A copy that was cut off holds nothing that the data directory does not hold still. The folder may be shared: a node
// of another cluster may bear the same name, and be copied right now.
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

Result<std::string> Quarantine::copy(const Divergence& divergence, const std::string& time_stamp,
                                     const std::function<void(const std::string&)>& say) const {
  remove_incomplete(divergence.node);
  if (auto room = check_room_for_copy(); !room) return room.error();
  auto made = make_folder(divergence.node, time_stamp);
  if (!made) return made;
  const auto data = *made + "/data";
  CopyProgress progress(data, disk_bytes_of(directory_.path()), say);
  if (auto copied = copy_data_directory(directory_, data, [&] { progress.look(); }); !copied) {
    std::error_code ignored;
    files::remove_all(*made, ignored);  // a full disk stops more than this
    return Error{"cannot set aside what the node alone has: " + copied.error().message};
  }
  if (auto synced = sync_file_system(*made); !synced) return synced.error();
  const auto report = report_of(divergence, "data", time_stamp).dump(2) + "\n";
  if (auto written = write_durably(*made + "/report.json", report, 0644); !written) return written.error();
  if (auto synced = sync_folder(folder_); !synced) return synced.error();
  return made;
}

Result<std::string> Quarantine::make_report(const Divergence& divergence, const std::string& time_stamp,
                                            const std::string& data) const {
  auto made = make_folder(divergence.node, time_stamp);
  if (!made) return made;
  const auto report = report_of(divergence, data, time_stamp).dump(2) + "\n";
  if (auto written = write_durably(*made + "/report.json", report, 0644); !written) return written.error();
  if (auto synced = sync_folder(folder_); !synced) return synced.error();
  return made;
}

Result<std::string> Quarantine::report_moved(const Divergence& divergence, const std::string& time_stamp,
                                             const std::string& moved_aside) const {
  for (const auto& entry : read_quarantine(folder_, directory_.path())) {
    if (entry.data_exists || entry.has_export || !is_same(entry.divergence, divergence)) continue;
    auto report = read_report(entry.folder);
    if (!report) return report.error();
    (*report)["data"] = moved_aside;
    if (auto written = write_durably(entry.folder + "/report.json", report->dump(2) + "\n", 0644); !written) {
      return written.error();
    }
    return entry.folder;
  }
  return make_report(divergence, time_stamp, moved_aside);
}

Result<std::string> Quarantine::begin_export(const Divergence& divergence, const std::string& time_stamp) const {
  for (const auto& entry : read_quarantine(folder_, directory_.path())) {
    auto as_then = divergence;
    as_then.wal_end = entry.divergence.wal_end;  // opening it has written to its log
    const bool grown = divergence.wal_end >= entry.divergence.wal_end && divergence.fork == entry.divergence.fork;
    if (!entry.data.empty() || !grown || !is_same(entry.divergence, as_then)) continue;
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
  const auto text = report->dump(2, ' ', false, nlohmann::json::error_handler_t::replace) + "\n";
  return write_durably(quarantine + "/report.json", text, 0644);
}

}  // namespace pgkeel
