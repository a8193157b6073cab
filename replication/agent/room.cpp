#include "replication/agent/room.h"

#include <cerrno>
#include <cstring>
#include <fcntl.h>
#include <filesystem>
#include <linux/fs.h>
#include <map>
#include <sys/ioctl.h>
#include <sys/stat.h>
#include <sys/statvfs.h>
#include <unistd.h>

namespace pgkeel {
namespace {

namespace files = std::filesystem;

files::path nearest_existing(files::path path) {
  std::error_code ignored;
  while (!files::exists(path, ignored) && path.has_relative_path()) path = path.parent_path();
  return path;
}

std::string in_megabytes(std::uint64_t bytes) {
  return std::to_string((bytes >> 20) + 1) + " MB";
}

// Any file of a folder; empty: there is none.
std::string a_file_in(const std::string& folder) {
  std::error_code problem;
  const auto options = files::directory_options::skip_permission_denied;
  for (auto entry = files::recursive_directory_iterator(folder, options, problem);
       !problem && entry != files::recursive_directory_iterator(); entry.increment(problem)) {
    std::error_code ignored;
    if (entry->is_regular_file(ignored) && !entry->is_symlink(ignored)) return entry->path();
  }
  return {};
}

bool can_share_blocks(const std::string& source, const std::string& folder) {
  const int from = open(source.c_str(), O_RDONLY | O_CLOEXEC);
  const int to = open(folder.c_str(), O_TMPFILE | O_WRONLY | O_CLOEXEC, 0600);
  const bool shared = from >= 0 && to >= 0 && ioctl(to, FICLONE, from) == 0;
  if (from >= 0) close(from);
  if (to >= 0) close(to);
  return shared;
}

}  // namespace

Result<void, PlacingError> check_room(const std::vector<RoomNeed>& needs, const std::string& for_what) {
  std::map<dev_t, RoomNeed> by_file_system;
  for (const auto& need : needs) {
    struct stat place {};
    if (stat(nearest_existing(need.folder).c_str(), &place) != 0)
      return PlacingError{PlacingError::Kind::kOther, "cannot tell the room in " + need.folder};
    const auto known = by_file_system.try_emplace(place.st_dev, RoomNeed{need.folder, 0}).first;
    known->second.bytes += need.bytes;
  }
  for (const auto& [device, need] : by_file_system) {
    struct statvfs space {};
    if (statvfs(nearest_existing(need.folder).c_str(), &space) != 0)
      return PlacingError{PlacingError::Kind::kOther, "cannot tell the room in " + need.folder};
    const std::uint64_t free_bytes = std::uint64_t{space.f_bavail} * space.f_frsize;
    if (free_bytes / 20 * 19 >= need.bytes) continue;
    return PlacingError{PlacingError::Kind::kNoRoom, "no room " + for_what + ": it takes " + in_megabytes(need.bytes) +
                                                         ", and in " + need.folder + " there is room for " +
                                                         in_megabytes(free_bytes)};
  }
  return {};
}

PlacingError problem_in(const std::string& folder, const Error& problem) {
  struct statvfs space {};
  const bool told = statvfs(nearest_existing(folder).c_str(), &space) == 0;
  const bool counts_files = space.f_files != 0;
  const bool is_full = told && (space.f_bavail == 0 || (counts_files && space.f_favail == 0));
  return {is_full ? PlacingError::Kind::kNoRoom : PlacingError::Kind::kOther, problem.message};
}

bool complains_of_room(std::string_view line) {
  for (const std::string_view severity : {" ERROR:  ", " FATAL:  ", " PANIC:  "}) {
    if (line.find(severity) != std::string_view::npos) return false;
  }
  for (const int problem : {ENOSPC, EDQUOT}) {
    if (line.ends_with(std::string(": ") + std::strerror(problem))) return true;
  }
  return false;
}

std::uint64_t disk_bytes_below(const std::string& folder) {
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

std::vector<std::string> links_of(const std::string& data_directory) {
  std::vector<std::string> links;
  std::error_code ignored;
  if (files::is_symlink(data_directory + "/pg_wal", ignored)) links.push_back(data_directory + "/pg_wal");
  for (const auto& entry : files::directory_iterator(data_directory + "/pg_tblspc", ignored)) {
    if (entry.is_symlink(ignored)) links.push_back(entry.path());
  }
  return links;
}

std::uint64_t disk_bytes_of(const std::string& data_directory) {
  std::uint64_t bytes = disk_bytes_below(data_directory);
  for (const auto& link : links_of(data_directory)) bytes += disk_bytes_below(link + "/");
  return bytes;
}

std::uint64_t disk_bytes_of_copy(const std::string& data_directory, const std::string& folder) {
  const std::string target = nearest_existing(folder);
  std::uint64_t bytes = 0;
  if (!can_share_blocks(data_directory + "/global/pg_control", target)) bytes += disk_bytes_below(data_directory);
  for (const auto& link : links_of(data_directory)) {
    const auto file = a_file_in(link + "/");
    if (!file.empty() && !can_share_blocks(file, target)) bytes += disk_bytes_below(link + "/");
  }
  return bytes;
}

}  // namespace pgkeel
