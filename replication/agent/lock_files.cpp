#include "replication/agent/lock_files.h"

#include <algorithm>
#include <charconv>
#include <filesystem>
#include <sstream>
#include <string>
#include <vector>

#include "proxy/io/durable_file.h"
#include "proxy/io/postmaster_file.h"
#include "replication/agent/server_processes.h"

namespace pgkeel {
namespace {

using namespace std::chrono_literals;
namespace files = std::filesystem;

constexpr Duration kSettingLimit = 5s;

// Where postmaster.pid is gone with an earlier data directory of that name, the lock beside the socket says whose it
// is: its second line is the data directory (PostgreSQL's miscinit.c, CreateLockFile).
void remove_socket_locks_of(const DataDirectory& directory, std::uint16_t port) {
  std::vector<std::string> arguments = {"-C", "unix_socket_directories", "-D", directory.path()};
  if (const auto config_file = directory.config_file()) arguments.push_back("--config_file=" + *config_file);
  const auto folders = directory.run("postgres", arguments, kSettingLimit);
  if (!folders) return;  // whatever is wrong with it, the start says it
  std::istringstream list(*folders);
  std::error_code ignored;
  for (std::string folder; std::getline(list, folder, ',');) {
    std::erase_if(folder, [](char c) { return c == ' ' || c == '"' || c == '\n'; });
    const auto lock = folder + "/.s.PGSQL." + std::to_string(port) + ".lock";
    const auto text = read_file(lock, 65536);
    if (!text) continue;
    const auto first_end = text->find('\n');
    if (first_end == std::string::npos) continue;
    if (text->substr(first_end + 1).starts_with(directory.path() + "\n")) files::remove(lock, ignored);
  }
}

// Somebody may start the server right now, and one whose postmaster.pid is gone shuts itself down within a minute: so
// it is taken aside first, and put back where it is of a process that runs. False: it was.
bool remove_postmaster_file(const DataDirectory& directory) {
  const auto path = directory.file("postmaster.pid");
  const auto aside = directory.file("postmaster.pid.pgkeel-stale");
  std::error_code problem;
  files::rename(path, aside, problem);
  if (problem) return true;  // there is none
  pid_t pid = 0;
  if (const auto text = read_file(aside, 65536)) std::from_chars(text->data(), text->data() + text->size(), pid);
  const auto running = find_server_processes(directory.path()).pids;
  const bool is_stale = std::ranges::find(running, pid) == running.end();
  if (!is_stale) files::create_hard_link(aside, path, problem);  // not over one that is newer still
  files::remove(aside, problem);
  return is_stale;
}

}  // namespace

bool remove_stale_lock_files(const DataDirectory& directory, std::uint16_t port) {
  const auto postmaster = read_postmaster_file(directory.path());
  std::error_code ignored;
  if (!remove_postmaster_file(directory)) return false;
  if (!postmaster) remove_socket_locks_of(directory, port);
  if (!postmaster || postmaster->socket_folder.empty() || !postmaster->port) return true;
  const auto lock = postmaster->socket_folder + "/.s.PGSQL." + std::to_string(*postmaster->port) + ".lock";
  const auto text = read_file(lock, 65536);
  if (text && text->starts_with(std::to_string(postmaster->pid) + "\n")) files::remove(lock, ignored);
  return true;
}

}  // namespace pgkeel
