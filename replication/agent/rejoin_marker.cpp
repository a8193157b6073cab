#include "replication/agent/rejoin_marker.h"

#include <algorithm>
#include <array>
#include <cerrno>
#include <cstring>
#include <filesystem>
#include <string_view>
#include <sys/stat.h>
#include <unistd.h>
#include <vector>

#include <nlohmann/json.hpp>

namespace pgkeel {
namespace {

using namespace std::chrono_literals;

constexpr Duration kFileCopyLimit = 2min;
constexpr std::uintmax_t kConfigurationBytesMax = 1U << 20;

struct StepName {
  RejoinStep step;
  const char* name;
};
constexpr std::array kStepNames = {StepName{RejoinStep::kExport, "export"}, StepName{RejoinStep::kRewind, "rewind"},
                                   StepName{RejoinStep::kBasebackup, "basebackup"},
                                   StepName{RejoinStep::kSwap, "swap"}};

// Everything in the top folder that is the administrator's and not PostgreSQL's own: *.conf, keys, certificates, …
bool is_node_local(const std::filesystem::directory_entry& entry) {
  constexpr std::array<std::string_view, 10> kOwnFiles = {
      "PG_VERSION",       "postmaster.pid", "standby.signal",     "recovery.signal", "backup_label",
      "backup_label.old", "tablespace_map", "tablespace_map.old", "backup_manifest", "current_logfiles"};
  const auto name = entry.path().filename().string();
  std::error_code ignored;
  if (entry.is_directory(ignored)) return name == "conf.d";
  if (std::ranges::find(kOwnFiles, name) != kOwnFiles.end() || name.starts_with("pgkeel")) return false;
  if (entry.is_symlink(ignored)) return true;
  return entry.is_regular_file(ignored) && entry.file_size(ignored) <= kConfigurationBytesMax;
}

template <class Wanted>
std::vector<std::string> entries_of(const std::string& folder, Wanted wanted) {
  std::vector<std::string> paths;
  std::error_code ignored;
  for (const auto& entry : std::filesystem::directory_iterator(folder, ignored)) {
    if (wanted(entry)) paths.push_back(entry.path());
  }
  return paths;
}

}  // namespace

RejoinMarker::RejoinMarker(const DataDirectory& directory)
    : directory_(directory), folder_(directory.beside(".pgkeel-rejoin")) {}

bool RejoinMarker::exists() const {
  // In doubt there is one.
  return access((folder_ + "/progress.json").c_str(), F_OK) == 0 || (errno != ENOENT && errno != ENOTDIR);
}

Result<RejoinProgress> RejoinMarker::read() const {
  const auto text = read_file(folder_ + "/progress.json", 1U << 20);
  if (!text) return text.error();
  const auto json = nlohmann::json::parse(*text, nullptr, false);
  if (!json.is_object()) return Error{folder_ + "/progress.json is damaged"};
  const auto member = [&](const char* name) {
    const auto found = json.find(name);
    return found != json.end() && found->is_string() ? found->get<std::string>() : std::string();
  };
  RejoinProgress progress;
  const auto step =
      std::ranges::find(kStepNames, member("step"), [](const StepName& row) { return std::string(row.name); });
  if (step == kStepNames.end()) return Error{folder_ + "/progress.json is damaged"};
  progress.step = step->step;
  progress.quarantine = member("quarantine");
  progress.new_directory = member("new_directory");
  progress.moved_aside = member("moved_aside");
  // The server's user may write here, and we may be root: nothing but what is beside the data directory is renamed.
  const auto is_beside = [&](const std::string& path, const char* tag) {
    const auto begin = directory_.beside(tag);
    return path.empty() || (path.starts_with(begin) && path.find('/', begin.size()) == std::string::npos);
  };
  if (!is_beside(progress.new_directory, ".new-") || !is_beside(progress.moved_aside, ".replaced-"))
    return Error{folder_ + "/progress.json names what no rejoin makes"};
  return progress;
}

Result<void> RejoinMarker::save_configuration() const {
  const auto owner = directory_.owner();
  if (!owner) return owner.error();
  std::error_code problem;
  std::filesystem::remove_all(folder_, problem);  // of a rejoin that gave up before it changed anything
  for (const auto& folder : {folder_, folder_ + "/configuration"}) {
    if (mkdir(folder.c_str(), 0700) != 0) return Error{"cannot create " + folder + ": " + std::strerror(errno)};
  }
  if (geteuid() == 0) {
    for (const auto& folder : {folder_, folder_ + "/configuration"}) {
      if (lchown(folder.c_str(), owner->user, owner->group) != 0) {
        return Error{"cannot give " + folder + " to " + directory_.os_user() + ": " + std::strerror(errno)};
      }
    }
  }
  const auto files = entries_of(directory_.path(), [this](const std::filesystem::directory_entry& entry) {
    const auto name = entry.path().filename().string();
    return is_node_local(entry) || std::ranges::find(directory_.keep_files(), name) != directory_.keep_files().end();
  });
  if (files.empty()) return {};
  std::vector<std::string> copy = {"cp", "-a", "--reflink=auto", "--"};
  copy.insert(copy.end(), files.begin(), files.end());
  copy.push_back(folder_ + "/configuration");
  if (auto copied = directory_.run_tool(copy, kFileCopyLimit); !copied) return copied.error();
  return sync_file_system(folder_);
}

bool RejoinMarker::has_configuration() const {
  return !entries_of(folder_ + "/configuration", [](const auto&) { return true; }).empty();
}

Result<void> RejoinMarker::restore_configuration(const std::string& target) const {
  const auto files = entries_of(folder_ + "/configuration", [](const auto&) { return true; });
  if (files.empty()) return {};
  std::vector<std::string> copy = {"cp", "-a", "--remove-destination", "--"};
  copy.insert(copy.end(), files.begin(), files.end());
  copy.push_back(target);
  if (auto copied = directory_.run_tool(copy, kFileCopyLimit); !copied) return copied.error();
  return {};
}

Result<void> RejoinMarker::write(const RejoinProgress& progress) const {
  const auto step = std::ranges::find(kStepNames, progress.step, &StepName::step);
  const nlohmann::json json = {{"step", step->name},
                               {"quarantine", progress.quarantine},
                               {"new_directory", progress.new_directory},
                               {"moved_aside", progress.moved_aside}};
  if (auto written = write_durably(folder_ + "/progress.json", json.dump(2) + "\n"); !written) return written;
  return sync_folder(directory_.parent());
}

Result<void> RejoinMarker::remove() const {
  if (auto removed = remove_durably(folder_ + "/progress.json"); !removed) return removed;
  std::error_code ignored;
  std::filesystem::remove_all(folder_, ignored);
  return {};
}

}  // namespace pgkeel
