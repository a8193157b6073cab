#include "health/postmaster_watch.h"

#include <filesystem>
#include <fstream>
#include <sys/stat.h>
#include <system_error>
#include <utility>

#include "proxy/base/log.h"

namespace pgkeel {
namespace {

bool same_owner(const std::string& left, const std::string& right) {
  struct stat left_status {};
  struct stat right_status {};
  return stat(left.c_str(), &left_status) == 0 && stat(right.c_str(), &right_status) == 0 &&
         left_status.st_uid == right_status.st_uid;
}

bool is_postmaster(pid_t pid, const std::string& data_directory, bool answers) {
  const std::string process = "/proc/" + std::to_string(pid);
  std::string command;
  std::getline(std::ifstream(process + "/comm") >> std::ws, command);
  if (command != "postgres" && command != "postmaster") return false;
  std::error_code error;
  const bool there = std::filesystem::equivalent(process + "/cwd", data_directory, error);
  if (!error) return there;
  // In a container root may not look at another user's working folder. Then the name, the owner and an answer from the
  // server must do.
  return error == std::errc::permission_denied && answers && same_owner(process, data_directory);
}

}  // namespace

std::optional<pid_t> read_postmaster_pid(const std::string& data_directory) {
  std::ifstream file(data_directory + "/postmaster.pid");
  pid_t pid = 0;
  if (!(file >> pid) || pid <= 1) return std::nullopt;  // negative: a single-user server
  return pid;
}

PostmasterWatch::PostmasterWatch(Loop& loop, std::string data_directory, std::function<void(std::string)> on_death)
    : loop_(loop), data_directory_(std::move(data_directory)), on_death_(std::move(on_death)) {}

void PostmasterWatch::arm(bool answers) {
  if (watch_) return;
  const auto pid = read_postmaster_pid(data_directory_);
  if (!pid) return;
  auto watch = ProcessWatch::open(loop_, *pid, [this] { exited(); });
  // The number is looked at after the watch holds the process: one that still runs then is the one looked at.
  if (!watch || !is_postmaster(*pid, data_directory_, answers) || (*watch)->has_exited()) return;
  watch_ = std::move(*watch);
  log(LogLevel::kDebug, "monitor", "watches postmaster " + std::to_string(*pid) + " of " + data_directory_);
}

void PostmasterWatch::exited() {
  const auto watch = std::move(watch_);
  on_death_("postmaster " + std::to_string(watch->pid()) + " has ended");
}

}  // namespace pgkeel
