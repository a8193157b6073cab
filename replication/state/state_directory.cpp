#include "replication/state/state_directory.h"

#include <cerrno>
#include <cstring>
#include <fcntl.h>
#include <filesystem>
#include <sys/file.h>
#include <sys/stat.h>
#include <thread>
#include <unistd.h>
#include <utility>

#include "proxy/io/clock.h"
#include "proxy/io/durable_file.h"
#include "replication/state/memory_text.h"

namespace pgkeel {
namespace {

constexpr Duration kLookAgain = std::chrono::milliseconds(5);  // whether the lock is free

std::string file_of(const std::string& directory, const std::string& cluster) {
  return directory + "/cluster-" + cluster + ".state";
}

}  // namespace

Result<StateDirectory> StateDirectory::open(std::string path, Duration patience) {
  std::error_code problem;
  std::filesystem::create_directories(path, problem);
  if (problem) return Error{"[state] directory " + path + " cannot be created: " + problem.message()};
  ::chmod(path.c_str(), 0700);
  const std::string lock_path = path + "/lock";
  Descriptor lock(::open(lock_path.c_str(), O_RDWR | O_CREAT | O_CLOEXEC, 0600));
  if (!lock.is_open()) return Error{lock_path + " cannot be opened: " + std::strerror(errno)};
  return with_lock(std::move(path), std::move(lock), patience);
}

Result<StateDirectory> StateDirectory::take_over(std::string path, Descriptor lock) {
  struct stat given {};
  struct stat there {};
  if (::fstat(lock.number(), &given) != 0 || ::stat((path + "/lock").c_str(), &there) != 0 ||
      given.st_dev != there.st_dev || given.st_ino != there.st_ino) {
    return Error{"what was given is not the lock of " + path};
  }
  return with_lock(std::move(path), std::move(lock), Duration::zero());
}

Result<StateDirectory> StateDirectory::with_lock(std::string path, Descriptor lock, Duration patience) {
  const Instant until = monotonic_now() + patience;
  while (::flock(lock.number(), LOCK_EX | LOCK_NB) != 0) {
    if (errno == EWOULDBLOCK && monotonic_now() < until) {
      std::this_thread::sleep_for(kLookAgain);
      continue;
    }
    if (errno == EWOULDBLOCK) return Error{"another pgkeel works with the state in " + path};
    return Error{path + "/lock cannot be locked: " + std::strerror(errno)};
  }
  return StateDirectory(std::move(path), std::move(lock));
}

StateDirectory::StateDirectory(StateDirectory&& other) noexcept = default;
StateDirectory::~StateDirectory() = default;

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
