#include "replication/agent/diverged_copy.h"

#include <cerrno>
#include <cstring>
#include <fcntl.h>
#include <filesystem>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>
#include <vector>

#include "replication/agent/data_directory.h"
#include "replication/agent/quarantine.h"

namespace pgkeel {
namespace {

namespace files = std::filesystem;

constexpr const char* kLockFile = "/in-use";
constexpr const char* kCopyName = "/working-copy";

int open_use_lock(const std::string& quarantine_folder) {
  return open((quarantine_folder + kLockFile).c_str(), O_RDWR | O_CREAT | O_CLOEXEC | O_NOFOLLOW, 0600);
}

// Where the copy goes: where it can share blocks, else where there is room.
Result<std::string> place_for_copy(const DataDirectory& directory, const std::vector<std::string>& folders) {
  for (const auto& folder : folders) {
    if (disk_bytes_of_copy(directory.path(), folder) == 0) return folder;
  }
  std::string refusals;
  for (const auto& folder : folders) {
    const auto room = check_room({{folder, disk_bytes_of_copy(directory.path(), folder)}}, "for a working copy");
    if (room) return folder;
    refusals += (refusals.empty() ? "" : "; ") + room.error().message;
  }
  return Error{refusals + "; export into a folder with room for it"};
}

}  // namespace

bool is_in_use(const std::string& quarantine_folder) {
  const int descriptor = open((quarantine_folder + kLockFile).c_str(), O_RDONLY | O_CLOEXEC | O_NOFOLLOW);
  if (descriptor < 0) return false;
  const bool locked = flock(descriptor, LOCK_SH | LOCK_NB) != 0;
  close(descriptor);
  return locked;
}

void remove_left_copy(const std::string& quarantine_folder) {
  std::error_code ignored;
  if (!files::exists(quarantine_folder + kCopyName, ignored)) return;
  const int lock = open_use_lock(quarantine_folder);
  if (lock < 0) return;
  if (flock(lock, LOCK_EX | LOCK_NB) == 0) files::remove_all(quarantine_folder + kCopyName, ignored);
  close(lock);
}

Result<void> DivergedCopy::lock(const std::string& quarantine_folder) {
  lock_ = open_use_lock(quarantine_folder);
  if (lock_ < 0) return Error{"cannot write in " + quarantine_folder + ": " + std::strerror(errno)};
  if (flock(lock_, LOCK_EX | LOCK_NB) == 0) return {};
  return Error{"somebody else has what is in " + quarantine_folder + " open; try again later"};
}

Result<std::unique_ptr<DivergedCopy>> DivergedCopy::in_place(const LocalServerConfig& server,
                                                             const std::string& quarantine_folder) {
  std::unique_ptr<DivergedCopy> made(new DivergedCopy(server));
  if (auto locked = made->lock(quarantine_folder); !locked) return locked.error();
  return made;
}

Result<std::unique_ptr<DivergedCopy>> DivergedCopy::make(const LocalServerConfig& server,
                                                         const std::string& quarantine_folder,
                                                         const std::string& target,
                                                         const std::function<void(const std::string&)>& progress) {
  std::unique_ptr<DivergedCopy> made(new DivergedCopy(server));
  if (auto locked = made->lock(quarantine_folder); !locked) return locked.error();
  const DataDirectory directory(server);
  const auto owner = directory.owner();
  if (!owner) return owner.error();
  std::error_code ignored;
  for (const auto& folder : {quarantine_folder, target}) files::remove_all(folder + kCopyName, ignored);  // cut off
  const auto place = place_for_copy(directory, {quarantine_folder, target});
  if (!place) return place.error();

  const auto folder = *place + kCopyName;
  if (mkdir(folder.c_str(), 0700) != 0) return Error{"cannot create " + folder + ": " + std::strerror(errno)};
  made->working_copy_ = folder;
  if (geteuid() == 0 && lchown(folder.c_str(), owner->user, owner->group) != 0) {
    return Error{"cannot give " + folder + " to " + directory.os_user() + ": " + std::strerror(errno)};
  }
  progress("making a working copy of " + directory.path());
  made->server_.data_directory = folder + "/data";
  if (auto copied = copy_data_directory(directory, made->server_.data_directory); !copied)
    return Error{copied.error().message};
  return made;
}

DivergedCopy::~DivergedCopy() {
  std::error_code ignored;
  if (!working_copy_.empty()) files::remove_all(working_copy_, ignored);
  if (lock_ >= 0) close(lock_);
}

}  // namespace pgkeel
