#include "replication/agent/quarantine.h"

#include <cerrno>
#include <cstring>
#include <fcntl.h>
#include <filesystem>
#include <linux/fs.h>
#include <sys/ioctl.h>
#include <sys/stat.h>
#include <sys/statvfs.h>
#include <unistd.h>
#include <vector>

#include <nlohmann/json.hpp>

namespace pgkeel {
namespace {

using namespace std::chrono_literals;
namespace files = std::filesystem;

constexpr Duration kCopyLimit = 24h;
constexpr const char* kSourceFile = "data_directory";  // of whose data directory it is

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
          {"reason", divergence.reason},
          {"time", time_stamp},
          {"data", data}};
}

// Whether files of `source` can share their blocks with copies in `folder`.
bool can_share_blocks(const std::string& source, const std::string& folder) {
  const int from = open(source.c_str(), O_RDONLY | O_CLOEXEC);
  const int to = open(folder.c_str(), O_TMPFILE | O_WRONLY | O_CLOEXEC, 0600);
  const bool shared = from >= 0 && to >= 0 && ioctl(to, FICLONE, from) == 0;
  if (from >= 0) close(from);
  if (to >= 0) close(to);
  return shared;
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

files::path nearest_existing(files::path path) {
  std::error_code ignored;
  while (!files::exists(path, ignored) && path.has_relative_path()) path = path.parent_path();
  return path;
}

}  // namespace

std::uint64_t disk_bytes_of(const std::string& folder) {
  std::uint64_t bytes = disk_bytes_below(folder);
  for (const auto& link : linked_folders(folder)) bytes += disk_bytes_below(link / "");
  return bytes;
}

Quarantine::Quarantine(std::string folder, const DataDirectory& directory)
    : folder_(folder.empty() ? directory.parent() + "/pgkeel-quarantine" : std::move(folder)), directory_(directory) {}

std::optional<std::string> Quarantine::find(const Divergence& divergence) const {
  if (!divergence.wal_end) return std::nullopt;
  std::error_code ignored;
  for (const auto& entry : files::directory_iterator(folder_, ignored)) {
    const auto text = read_file(entry.path() / "report.json", 1U << 20);
    if (!text) continue;
    auto report = nlohmann::json::parse(*text, nullptr, false);
    if (!report.is_object() || !report.contains("time") || !report.contains("data") || report["data"] != "data")
      continue;
    if (!files::exists(entry.path() / "data/global/pg_control", ignored)) continue;  // somebody took the copy away
    // The upstream may be another by now: what counts is that the node has not moved on.
    const auto wanted = report_of(divergence, "data", "");
    const auto same = [&](const char* key) { return report.contains(key) && report[key] == wanted[key]; };
    if (same("node") && same("system_identifier") && same("timeline") && same("wal_end")) return entry.path();
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
  if (auto marked = write_durably(made + "/" + kSourceFile, directory_.path(), 0644); !marked) return marked.error();
  return made;
}

Result<void> Quarantine::check_room() const {
  const auto place = nearest_existing(folder_);
  if (can_share_blocks(directory_.file("global/pg_control"), place)) return {};
  struct statvfs space {};
  if (statvfs(place.c_str(), &space) != 0) return Error{"cannot tell the room in " + place.string()};
  const std::uint64_t free_bytes = std::uint64_t{space.f_bavail} * space.f_frsize;
  const std::uint64_t data_bytes = disk_bytes_of(directory_.path());
  // A twentieth stays free: a disk that is full to the brim stops more than this.
  if (free_bytes / 20 * 19 >= data_bytes) return {};
  return Error{"no room to set aside what the node alone has: its data directory takes " + in_megabytes(data_bytes) +
               ", and in " + folder_ + " there is room for " + in_megabytes(free_bytes) +
               "; make room there and rejoin again"};
}

Result<void> Quarantine::copy_linked_folders(const std::string& copied_data) const {
  for (const auto& link : linked_folders(copied_data)) {
    std::error_code problem;
    const auto target = files::canonical(directory_.path() / link.lexically_relative(copied_data), problem);
    if (problem) return Error{"cannot follow " + link.string() + ": " + problem.message()};
    files::remove(link, problem);
    if (problem) return Error{"cannot replace " + link.string() + ": " + problem.message()};
    if (auto copied = directory_.run_tool({"cp", "-a", "--reflink=auto", "--", target, link}, kCopyLimit); !copied) {
      return copied.error();
    }
  }
  return {};
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
    const auto source = read_file(entry.path() / kSourceFile, 65536);
    if (source && *source == directory_.path()) incomplete.push_back(entry.path());
  }
  for (const auto& folder : incomplete) files::remove_all(folder, ignored);
}

Result<std::string> Quarantine::copy(const Divergence& divergence, const std::string& time_stamp) const {
  remove_incomplete(divergence.node);
  if (auto room = check_room(); !room) return room.error();
  auto made = make_folder(divergence.node, time_stamp);
  if (!made) return made;
  const auto data = *made + "/data";
  auto copied = directory_.run_tool({"cp", "-a", "--reflink=auto", "--", directory_.path(), data}, kCopyLimit);
  if (!copied) return Error{"cannot set aside what the node alone has: " + copied.error().message};
  if (auto linked = copy_linked_folders(data); !linked) return linked.error();
  if (auto synced = sync_file_system(*made); !synced) return synced.error();
  const auto report = report_of(divergence, "data", time_stamp).dump(2) + "\n";
  if (auto written = write_durably(*made + "/report.json", report, 0644); !written) return written.error();
  if (auto synced = sync_folder(folder_); !synced) return synced.error();
  return made;
}

Result<std::string> Quarantine::report_moved(const Divergence& divergence, const std::string& time_stamp,
                                             const std::string& moved_aside) const {
  auto made = make_folder(divergence.node, time_stamp);
  if (!made) return made;
  const auto report = report_of(divergence, moved_aside, time_stamp).dump(2) + "\n";
  if (auto written = write_durably(*made + "/report.json", report, 0644); !written) return written.error();
  if (auto synced = sync_folder(folder_); !synced) return synced.error();
  return made;
}

}  // namespace pgkeel
