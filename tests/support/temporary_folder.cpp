#include "tests/support/temporary_folder.h"

#include <array>
#include <cerrno>
#include <csignal>
#include <cstdint>
#include <cstdlib>
#include <fcntl.h>
#include <stdexcept>
#include <sys/statvfs.h>
#include <sys/wait.h>
#include <unistd.h>

#include "proxy/io/os_user.h"

namespace pgkeel::test {
namespace {

// $1: the folder, $2: the user of its processes. Their working folders can be read by root only where it has
// CAP_SYS_PTRACE, which containers lack; by the same user always.
constexpr const char* kGuardScript = R"sh(
trap '' HUP INT TERM
cat >/dev/null
folder=$1
as_user=
[ "$(id -u)" = 0 ] && as_user="setpriv --reuid=$2 --regid=$(id -g "$2") --clear-groups"
list() {
  for who in "" "$as_user"; do
    $who find /proc/[0-9]*/cwd -maxdepth 0 '(' -lname "$folder" -o -lname "$folder/*" ')' -printf '%h ' 2>/dev/null
  done
}
# File systems of the test's own; one that is frozen would keep its processes from dying.
mounts() {
  awk -v below="$folder/" 'index($2, below) == 1 { print $2 }' /proc/self/mounts
}
for mount in $(mounts); do fsfreeze --unfreeze "$mount" 2>/dev/null; done
while found=$(list); [ -n "$found" ]; do
  for process in $found; do kill -9 "${process#/proc/}" 2>/dev/null; done
done
# The shared memory of killed servers: a system has room for only some thousand segments.
for file in "$folder"/*/postmaster.pid "$folder"/*/*/postmaster.pid; do
  [ -f "$file" ] && ipcrm -m "$(sed -n '7s/.* //p' "$file")" 2>/dev/null
done
for mount in $(mounts); do umount "$mount"; done
rm -rf "$folder"
)sh";

// In memory where there is plenty: a killed process loses nothing there, and an fsync costs nothing.
std::string parent_folder() {
  if (const char* chosen = std::getenv("TMPDIR")) return chosen;
  constexpr std::uint64_t kPlentyBytes = std::uint64_t{6} << 30;
  struct statvfs memory {};
  const bool plenty =
      statvfs("/dev/shm", &memory) == 0 && std::uint64_t{memory.f_bavail} * memory.f_frsize > kPlentyBytes;
  return plenty && access("/dev/shm", W_OK) == 0 ? "/dev/shm" : "/tmp";
}

}  // namespace

const std::string& server_user() {
  static const std::string user = geteuid() == 0 ? "postgres" : find_os_user("").value().name;
  return user;
}

TemporaryFolder::TemporaryFolder() {
  path_ = parent_folder() + "/pgkeel-test-XXXXXX";
  if (mkdtemp(path_.data()) == nullptr) throw std::runtime_error("no temporary folder " + path_);

  std::array<int, 2> ends{};
  if (pipe2(ends.data(), O_CLOEXEC) != 0) throw std::runtime_error("no pipe");
  guard_input_ = ends[1];
  const std::array<const char*, 7> arguments = {
      "sh", "-c", kGuardScript, "pgkeel-test-guard", path_.c_str(), server_user().c_str(), nullptr};
  guard_ = fork();
  if (guard_ == 0) {
    setsid();
    const int null = open("/dev/null", O_RDWR);
    dup2(ends[0], 0);
    dup2(null, 1);
    dup2(null, 2);
    execv("/bin/sh", const_cast<char* const*>(arguments.data()));
    _exit(127);
  }
  close(ends[0]);
  const auto user = find_os_user(server_user());
  if (!user) throw std::runtime_error(user.error().message);
  if (geteuid() == 0 && chown(path_.c_str(), user->uid, user->gid) != 0) throw std::runtime_error("chown " + path_);
}

TemporaryFolder::~TemporaryFolder() {
  close(guard_input_);
  while (waitpid(guard_, nullptr, 0) < 0 && errno == EINTR) {
  }
}

}  // namespace pgkeel::test
