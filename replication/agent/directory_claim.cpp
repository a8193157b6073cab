#include "replication/agent/directory_claim.h"

#include <cerrno>
#include <cstring>
#include <fcntl.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>
#include <utility>

namespace pgkeel {
namespace {

// A lock that is there needs no room, nor that anything may be written.
int open_lock(const std::string& path) {
  const int made = open(path.c_str(), O_RDWR | O_CREAT | O_CLOEXEC | O_NOFOLLOW, 0600);
  if (made >= 0) return made;
  const int problem = errno;
  const int found = open(path.c_str(), O_RDONLY | O_CLOEXEC | O_NOFOLLOW | O_NONBLOCK);
  if (found < 0) errno = problem;
  return found;
}

Descriptor open_folder(const std::string& path) {
  return Descriptor(open(path.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC));
}

bool lock_alone(const Descriptor& file) {
  return flock(file.number(), LOCK_EX | LOCK_NB) == 0;
}

bool is_absent(const std::string& path) {
  struct stat ignored {};
  return lstat(path.c_str(), &ignored) != 0 && errno == ENOENT;
}

}  // namespace

DirectoryClaim::DirectoryClaim(const std::string& data_directory)
    : data_directory_(data_directory), path_(data_directory + ".pgkeel-lock") {}

DirectoryClaim::Refusal DirectoryClaim::refusal(int problem) const {
  return {"cannot lock " + path_ +
          ", which keeps two pgkeels from handling one data directory: " + std::strerror(problem)};
}

DirectoryClaim::Refusal DirectoryClaim::taken(const std::string& path) {
  return {"another pgkeel handles this data directory (it holds " + path + "): end one of them", true};
}

// One that locks the data directory itself then looks for a lock beside it, and one that has made that then looks for
// the other: whatever their order, at most one of them goes on.
Result<void, DirectoryClaim::Refusal> DirectoryClaim::take() {
  const std::lock_guard lock(mutex_);
  if (beside_.is_open()) return {};
  Descriptor beside(open_lock(path_));
  if (!beside.is_open()) {
    if (errno == ENOENT || errno == ENOTDIR || itself_.is_open()) return {};
    return take_itself(errno);
  }
  if (!lock_alone(beside)) {
    if (itself_.is_open()) return {};  // that one is about to find ours
    if (errno == EWOULDBLOCK) return taken(path_);
    return refusal(errno);
  }
  if (!itself_.is_open()) {
    const auto folder = open_folder(data_directory_);
    if (folder.is_open() && !lock_alone(folder) && errno == EWOULDBLOCK) return taken(data_directory_);
  }
  beside_ = std::move(beside);
  return {};
}

// Where there is a lock beside it that we may not open, somebody else may hold that.
Result<void, DirectoryClaim::Refusal> DirectoryClaim::take_itself(int problem_beside) {
  if (!is_absent(path_)) return refusal(problem_beside);
  auto folder = open_folder(data_directory_);
  if (!folder.is_open()) return refusal(problem_beside);
  if (!lock_alone(folder)) {
    if (errno == EWOULDBLOCK) return taken(data_directory_);
    return refusal(problem_beside);
  }
  if (!is_absent(path_)) return refusal(problem_beside);
  itself_ = std::move(folder);
  return {};
}

}  // namespace pgkeel
