#include "replication/agent/directory_claim.h"

#include <cerrno>
#include <cstring>
#include <fcntl.h>
#include <sys/file.h>
#include <unistd.h>

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

}  // namespace

DirectoryClaim::DirectoryClaim(const std::string& data_directory) : path_(data_directory + ".pgkeel-lock") {}

DirectoryClaim::~DirectoryClaim() {
  if (descriptor_ >= 0) close(descriptor_);
}

Result<void, DirectoryClaim::Refusal> DirectoryClaim::take() {
  const std::lock_guard lock(mutex_);
  if (descriptor_ >= 0) return {};
  const auto refusal = [this](int problem) {
    return Refusal{"cannot lock " + path_ +
                   ", which keeps two pgkeels from handling one data directory: " + std::strerror(problem)};
  };
  const int descriptor = open_lock(path_);
  if (descriptor < 0 && (errno == ENOENT || errno == ENOTDIR)) return {};
  if (descriptor < 0) return refusal(errno);
  if (flock(descriptor, LOCK_EX | LOCK_NB) == 0) {
    descriptor_ = descriptor;
    return {};
  }
  const int problem = errno;
  close(descriptor);
  if (problem != EWOULDBLOCK) return refusal(problem);
  return Refusal{"another pgkeel handles this data directory (it holds " + path_ + "): end one of them", true};
}

}  // namespace pgkeel
