#include "replication/agent/directory_claim.h"

#include <cerrno>
#include <fcntl.h>
#include <sys/file.h>
#include <unistd.h>

namespace pgkeel {

DirectoryClaim::DirectoryClaim(const std::string& data_directory) : path_(data_directory + ".pgkeel-lock") {}

DirectoryClaim::~DirectoryClaim() {
  if (descriptor_ >= 0) close(descriptor_);
}

Result<void> DirectoryClaim::take() {
  const std::lock_guard lock(mutex_);
  if (descriptor_ >= 0) return {};
  const int descriptor = open(path_.c_str(), O_RDWR | O_CREAT | O_CLOEXEC | O_NOFOLLOW, 0600);
  if (descriptor < 0) return {};
  if (flock(descriptor, LOCK_EX | LOCK_NB) == 0) {
    descriptor_ = descriptor;
    return {};
  }
  const bool taken = errno == EWOULDBLOCK;
  close(descriptor);
  if (!taken) return {};
  return Error{"another pgkeel handles this data directory (it holds " + path_ + "): end one of them"};
}

}  // namespace pgkeel
