#include "proxy/handover/former_mark.h"

#include <algorithm>
#include <cerrno>
#include <charconv>
#include <cstring>
#include <fcntl.h>
#include <filesystem>
#include <string_view>
#include <sys/file.h>
#include <unistd.h>
#include <utility>

#include "proxy/base/time.h"
#include "proxy/io/clock.h"
#include "proxy/io/detached_process.h"

namespace pgkeel {
namespace {

using namespace std::chrono_literals;

constexpr std::string_view kPrefix = "former-";
constexpr Duration kGrace = 1s;       // its clients get a 57P01 by itself
constexpr Duration kDeathLimit = 5s;  // from SIGKILL on

pid_t process_of(const std::string& name) {
  pid_t pid = 0;
  if (!name.starts_with(kPrefix)) return 0;
  const char* end = name.data() + name.size();
  const auto [rest, code] = std::from_chars(name.data() + kPrefix.size(), end, pid);
  return code == std::errc{} && rest == end ? pid : 0;
}

bool is_locked(const std::string& file) {
  const Descriptor descriptor(::open(file.c_str(), O_RDWR | O_CLOEXEC | O_NOFOLLOW));
  return descriptor.is_open() && ::flock(descriptor.number(), LOCK_EX | LOCK_NB) != 0;
}

}  // namespace

Result<FormerMark> FormerMark::leave(const std::string& state_directory) {
  std::string file = state_directory + "/" + std::string(kPrefix) + std::to_string(::getpid());
  Descriptor lock(::open(file.c_str(), O_RDWR | O_CREAT | O_CLOEXEC | O_NOFOLLOW, 0600));
  if (!lock.is_open() || ::flock(lock.number(), LOCK_EX | LOCK_NB) != 0)
    return Error{file + " cannot be made and locked: " + std::strerror(errno)};
  return FormerMark(std::move(file), std::move(lock));
}

FormerMark::FormerMark(FormerMark&& other) noexcept
    : file_(std::exchange(other.file_, {})), lock_(std::move(other.lock_)) {}

FormerMark::~FormerMark() {
  if (!file_.empty()) ::unlink(file_.c_str());
}

Result<std::vector<pid_t>> FormerMark::end_all(const std::string& state_directory) {
  std::vector<pid_t> killed;
  std::error_code problem;
  for (const auto& entry : std::filesystem::directory_iterator(state_directory, problem)) {
    const pid_t pid = process_of(entry.path().filename().string());
    if (pid <= 0 || pid == ::getpid()) continue;
    const std::string file = entry.path().string();
    // The number is of the process that made the file as long as that is locked: looked at in this order.
    const auto process = open_process(pid);
    if (process && is_locked(file) && !process_ends_within(*process, kGrace)) {
      kill_process(*process);
      if (!process_ends_within(*process, kDeathLimit)) {
        return Error{"process " + std::to_string(pid) + ", which another one took over from, has sessions still and " +
                     "cannot be ended: it would go on with them beside this one"};
      }
      killed.push_back(pid);
    }
    ::unlink(file.c_str());
  }
  if (problem) return Error{state_directory + " cannot be read: " + problem.message()};
  return killed;
}

}  // namespace pgkeel
