#include "replication/state/state_directory.h"

#include <cerrno>
#include <cstring>
#include <fcntl.h>
#include <filesystem>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>
#include <utility>

#include "proxy/io/durable_file.h"
#include "replication/state/memory_text.h"

namespace pgkeel {
namespace {

std::string file_of(const std::string& directory, const std::string& cluster) {
  return directory + "/cluster-" + cluster + ".state";
}

}  // namespace

Result<StateDirectory> StateDirectory::open(std::string path) {
  std::error_code problem;
  std::filesystem::create_directories(path, problem);
  if (problem) return Error{"[state] directory " + path + " cannot be created: " + problem.message()};
  ::chmod(path.c_str(), 0700);
  const std::string lock_path = path + "/lock";
  const int descriptor = ::open(lock_path.c_str(), O_RDWR | O_CREAT | O_CLOEXEC, 0600);
  if (descriptor < 0) return Error{lock_path + " cannot be opened: " + std::strerror(errno)};
  if (::flock(descriptor, LOCK_EX | LOCK_NB) != 0) {
    const int reason = errno;
    ::close(descriptor);
    if (reason == EWOULDBLOCK) return Error{"another pgkeel works with the state in " + path};
    return Error{lock_path + " cannot be locked: " + std::strerror(reason)};
  }
  return StateDirectory(std::move(path), descriptor);
}

StateDirectory::StateDirectory(StateDirectory&& other) noexcept
    : path_(std::move(other.path_)), lock_descriptor_(std::exchange(other.lock_descriptor_, -1)) {}

StateDirectory::~StateDirectory() {
  if (lock_descriptor_ >= 0) ::close(lock_descriptor_);
}

Result<ClusterMemory> StateDirectory::load(const std::string& cluster) const {
  const std::string file = file_of(path_, cluster);
  if (!std::filesystem::exists(file)) return ClusterMemory{};
  auto text = read_file(file);
  if (!text) return text.error();
  auto memory = read_memory(cluster, *text);
  if (!memory) {
    return Error{"the state in " + file + " cannot be used: " + memory.error().message +
                 "; bring back a good copy, or move it away and start with --adopt NODE"};
  }
  return memory;
}

Result<void> StateDirectory::store(const std::string& cluster, const ClusterMemory& memory) const {
  return write_durably(file_of(path_, cluster), write_memory(cluster, memory));
}

}  // namespace pgkeel
