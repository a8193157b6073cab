#include "replication/agent/private_folder.h"

#include <cerrno>
#include <chrono>
#include <cstdlib>
#include <cstring>
#include <dirent.h>
#include <fcntl.h>
#include <string_view>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>
#include <vector>

#include "proxy/io/clock.h"

namespace pgkeel {
namespace {

constexpr const char* kWhere = "/tmp";
constexpr std::string_view kPrefix = "pgkeel-lost-";
constexpr const char* kLockName = "in-use";
constexpr Duration kTimeToLock =
    std::chrono::minutes(1);  // far longer than it takes from making a folder to locking it

// Its names, without . and ..; the descriptor stays open.
std::vector<std::string> names_in(int folder) {
  std::vector<std::string> names;
  const int listed = openat(folder, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
  DIR* stream = listed < 0 ? nullptr : fdopendir(listed);
  if (stream == nullptr) {
    if (listed >= 0) close(listed);
    return names;
  }
  while (const dirent* entry = readdir(stream)) {
    const std::string_view name = entry->d_name;
    if (name != "." && name != "..") names.emplace_back(name);
  }
  closedir(stream);
  return names;
}

// There is nothing but files in it. Its lock goes last: until then it is known for what it is. No name in it is
// followed, whatever it is a link to.
void remove_folder(int folder, const std::string& path) {
  for (const auto& name : names_in(folder)) {
    if (name != kLockName) unlinkat(folder, name.c_str(), 0);
  }
  unlinkat(folder, kLockName, 0);
  rmdir(path.c_str());
}

// Whoever made it has ended: nobody holds its lock, or it was ended before there was one.
bool is_left(int folder, const struct stat& found) {
  const int lock = openat(folder, kLockName, O_RDONLY | O_CLOEXEC | O_NOFOLLOW | O_NONBLOCK);
  const WallTime made_at{std::chrono::seconds(found.st_mtime)};
  if (lock < 0) return errno == ENOENT && wall_now() - made_at > kTimeToLock;
  const bool is_free = flock(lock, LOCK_EX | LOCK_NB) == 0;
  close(lock);
  return is_free;
}

}  // namespace

Result<std::unique_ptr<PrivateFolder>> PrivateFolder::make(const FileOwner& owner) {
  remove_left_private_folders(owner);
  std::string path = std::string(kWhere) + "/" + std::string(kPrefix) + "XXXXXX";
  if (mkdtemp(path.data()) == nullptr) return Error{"cannot create " + path + ": " + std::strerror(errno)};
  std::unique_ptr<PrivateFolder> made(new PrivateFolder(path));
  const auto lock = path + "/" + kLockName;
  made->lock_ = open(lock.c_str(), O_RDWR | O_CREAT | O_EXCL | O_CLOEXEC | O_NOFOLLOW, 0600);
  if (made->lock_ < 0 || flock(made->lock_, LOCK_EX | LOCK_NB) != 0)
    return Error{"cannot lock " + lock + ": " + std::strerror(errno)};
  if (geteuid() == 0 && lchown(path.c_str(), owner.user, owner.group) != 0)
    return Error{"cannot give " + path + " to the user of its server: " + std::strerror(errno)};
  return made;
}

PrivateFolder::~PrivateFolder() {
  const int folder = open(path_.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC | O_NOFOLLOW);
  if (folder >= 0) {
    remove_folder(folder, path_);
    close(folder);
  }
  if (lock_ >= 0) close(lock_);
}

void remove_left_private_folders(const FileOwner& owner) {
  const int where = open(kWhere, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
  if (where < 0) return;
  for (const auto& name : names_in(where)) {
    if (!name.starts_with(kPrefix)) continue;
    const int folder = openat(where, name.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC | O_NOFOLLOW);
    if (folder < 0) continue;
    struct stat found {};
    const bool is_ours = fstat(folder, &found) == 0 && (found.st_uid == owner.user || found.st_uid == geteuid());
    if (is_ours && is_left(folder, found)) remove_folder(folder, std::string(kWhere) + "/" + name);
    close(folder);
  }
  close(where);
}

}  // namespace pgkeel
