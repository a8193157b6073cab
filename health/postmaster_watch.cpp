#include "health/postmaster_watch.h"

#include <chrono>
#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <sys/stat.h>
#include <system_error>
#include <utility>

#include "proxy/base/log.h"

namespace pgkeel {
namespace {

constexpr std::int64_t kSameStartSeconds = 5;  // an answer may be a probe_timeout old, and clocks are corrected
constexpr int kMismatchesForDoubt = 2;

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

PostmasterWatch::PostmasterWatch(Loop& loop, std::string data_directory, std::uint16_t port,
                                 std::function<void(std::string)> on_death)
    : loop_(loop), data_directory_(std::move(data_directory)), port_(port), on_death_(std::move(on_death)) {}

void PostmasterWatch::arm(bool answers, std::optional<WallTime> started_at) {
  if (watch_ && (confirmed_ || !started_at)) return;
  const auto file = read_postmaster_file(data_directory_);
  compare(file, started_at);
  if (!doubt_.empty()) watch_.reset();
  if (watch_ || !file || !doubt_.empty()) return;
  auto watch = ProcessWatch::open(loop_, file->pid, [this] { exited(); });
  // The number is looked at after the watch holds the process: one that still runs then is the one looked at.
  if (!watch || !is_postmaster(file->pid, data_directory_, answers) || (*watch)->has_exited()) return;
  watch_ = std::move(*watch);
  log(LogLevel::kDebug, "monitor", "watches postmaster " + std::to_string(file->pid) + " of " + data_directory_);
}

void PostmasterWatch::compare(const std::optional<PostmasterFile>& file, std::optional<WallTime> started_at) {
  if (port_ != 0 && file && file->port && *file->port != port_) {
    doubt_ = data_directory_ + " is the data directory of the server on port " + std::to_string(*file->port) +
             ", not of this one";
    return;
  }
  if (!started_at) return;  // what was found when it last answered still holds
  const auto said = std::chrono::duration_cast<std::chrono::seconds>(started_at->time_since_epoch());
  const bool same = file && file->started_at && std::abs(*file->started_at - said.count()) <= kSameStartSeconds;
  // It may have been restarted between its answer and this look.
  confirmed_ = same;
  mismatches_ = same ? 0 : mismatches_ + 1;
  if (same) doubt_.clear();
  if (mismatches_ >= kMismatchesForDoubt) {
    doubt_ = file ? data_directory_ + " holds a server that was not started when the one that answers was"
                  : "no server runs in " + data_directory_ + ", although this one answers";
  }
}

void PostmasterWatch::exited() {
  const auto watch = std::move(watch_);
  confirmed_ = false;
  on_death_("postmaster " + std::to_string(watch->pid()) + " has ended");
}

}  // namespace pgkeel
