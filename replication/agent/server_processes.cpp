#include "replication/agent/server_processes.h"

#include <algorithm>
#include <cerrno>
#include <charconv>
#include <climits>
#include <csignal>
#include <cstdlib>
#include <cstring>
#include <dirent.h>
#include <memory>
#include <optional>
#include <poll.h>
#include <string_view>
#include <sys/fsuid.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "proxy/io/durable_file.h"

namespace pgkeel {
namespace {

constexpr Duration kSleep = std::chrono::milliseconds(20);

// Which folder a server's processes stand in. Known by device and inode, since the path may lead through links; by name
// where the folder is gone.
struct FolderIdentity {
  std::string path;
  bool exists = false;
  dev_t device = 0;
  ino_t inode = 0;
  std::optional<uid_t> owner;  // none: anybody
};

FolderIdentity identify(const std::string& data_directory) {
  FolderIdentity folder;
  const std::unique_ptr<char, decltype(&free)> real(realpath(data_directory.c_str(), nullptr), free);
  folder.path = real ? real.get() : data_directory;
  struct stat status {};
  if (stat(data_directory.c_str(), &status) == 0) {
    folder.exists = true;
    folder.device = status.st_dev;
    folder.inode = status.st_ino;
    folder.owner = status.st_uid;
  } else if (geteuid() != 0) {
    folder.owner = geteuid();  // a server that we may run ran as we do
  }
  return folder;
}

// Root without CAP_SYS_PTRACE, as in most containers, may not read links in /proc of another user's process; that user
// may. Changes this thread only.
class ActingAs {
 public:
  ActingAs(uid_t user, gid_t group)
      : group_(static_cast<gid_t>(setfsgid(group))), user_(static_cast<uid_t>(setfsuid(user))) {}
  ~ActingAs() {
    setfsuid(user_);
    setfsgid(group_);
  }
  ActingAs(const ActingAs&) = delete;
  ActingAs& operator=(const ActingAs&) = delete;

 private:
  gid_t group_;
  uid_t user_;
};

std::string process_path(pid_t pid, const char* file) {
  return "/proc/" + std::to_string(pid) + "/" + file;
}

std::string link_text(const std::string& path) {
  char text[PATH_MAX];
  const auto length = readlink(path.c_str(), text, sizeof text);
  return length < 0 ? std::string() : std::string(text, static_cast<std::size_t>(length));
}

std::string without_deleted(std::string path) {
  constexpr std::string_view kDeleted = " (deleted)";
  if (path.ends_with(kDeleted)) path.resize(path.size() - kDeleted.size());
  return path;
}

enum class Belongs { kNo, kYes, kUnknown };

Belongs look_at_links(const FolderIdentity& folder, pid_t pid) {
  struct stat working_folder {};
  bool stands_there = false;
  if (stat(process_path(pid, "cwd").c_str(), &working_folder) == 0) {
    stands_there = folder.exists && working_folder.st_dev == folder.device && working_folder.st_ino == folder.inode;
  } else if (errno == EACCES || errno == EPERM) {
    return Belongs::kUnknown;
  }
  if (!stands_there && !folder.exists)
    stands_there = without_deleted(link_text(process_path(pid, "cwd"))) == folder.path;
  if (!stands_there) return Belongs::kNo;
  // An administrator's shell may stand there too.
  const auto program = without_deleted(link_text(process_path(pid, "exe")));
  const auto name = program.substr(program.rfind('/') + 1);
  return name == "postgres" || name == "postmaster" ? Belongs::kYes : Belongs::kNo;
}

// The program's name in /proc/PID/stat, which everybody may read.
bool is_named_postgres(pid_t pid) {
  const auto stat_line = read_file(process_path(pid, "stat"), 4096);
  return stat_line && stat_line->find("(postgres)") != std::string::npos;
}

Belongs belongs_to_server(const FolderIdentity& folder, pid_t pid) {
  struct stat status {};
  if (stat(("/proc/" + std::to_string(pid)).c_str(), &status) != 0) return Belongs::kNo;
  // PostgreSQL runs only as the owner of its data directory. /proc shows some processes as root's.
  if (folder.owner && status.st_uid != *folder.owner && status.st_uid != 0) return Belongs::kNo;
  auto belongs = look_at_links(folder, pid);
  if (belongs == Belongs::kUnknown && geteuid() == 0) {
    const ActingAs its_user(status.st_uid, status.st_gid);
    belongs = look_at_links(folder, pid);
  }
  // A dead process has no links any more, and may deny them while it dies.
  if (belongs == Belongs::kUnknown && (!is_named_postgres(pid) || process_state(pid) == 'Z')) return Belongs::kNo;
  return belongs;
}

int open_process(pid_t pid) {
  return static_cast<int>(syscall(SYS_pidfd_open, pid, 0U));
}

}  // namespace

ServerProcesses find_server_processes(const std::string& data_directory) {
  const auto folder = identify(data_directory);
  ServerProcesses found;
  const auto close_folder = [](DIR* directory) { closedir(directory); };
  const std::unique_ptr<DIR, decltype(close_folder)> processes(opendir("/proc"), close_folder);
  while (const dirent* entry = processes ? readdir(processes.get()) : nullptr) {
    const std::string_view name = entry->d_name;
    pid_t pid = 0;
    if (std::from_chars(name.data(), name.data() + name.size(), pid).ec != std::errc{} || pid == getpid()) continue;
    const auto belongs = belongs_to_server(folder, pid);
    if (belongs == Belongs::kYes) found.pids.push_back(pid);
    if (belongs == Belongs::kUnknown) found.unidentified.push_back(pid);
  }
  std::ranges::sort(found.pids);
  return found;
}

void signal_server_process(const std::string& data_directory, pid_t pid, int signal) {
  const int descriptor = open_process(pid);
  if (descriptor < 0 && errno == ESRCH) return;
  if (belongs_to_server(identify(data_directory), pid) == Belongs::kYes) {
    if (descriptor >= 0) {
      syscall(SYS_pidfd_send_signal, descriptor, signal, nullptr, 0U);
    } else {
      kill(pid, signal);
    }
  }
  if (descriptor >= 0) close(descriptor);
}

void wait_for_process_end(pid_t pid, Duration limit) {
  const int descriptor = open_process(pid);
  if (descriptor < 0 && errno == ESRCH) return;
  // Without pidfd this only sleeps a moment; the caller looks again.
  if (descriptor < 0) limit = std::min<Duration>(limit, kSleep);
  pollfd watched{descriptor, POLLIN, 0};
  const auto milliseconds = std::clamp<std::int64_t>(to_milliseconds(limit), 0, INT_MAX);
  poll(&watched, descriptor >= 0 ? 1 : 0, static_cast<int>(milliseconds));
  if (descriptor >= 0) close(descriptor);
}

char process_state(pid_t pid) {
  const auto stat_line = read_file(process_path(pid, "stat"), 4096);
  if (!stat_line) return 0;
  const auto name_end = stat_line->rfind(") ");
  return name_end == std::string::npos || name_end + 2 >= stat_line->size() ? '\0' : (*stat_line)[name_end + 2];
}

}  // namespace pgkeel
