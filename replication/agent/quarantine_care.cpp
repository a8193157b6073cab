#include "replication/agent/quarantine_care.h"

#include <exception>
#include <filesystem>

#include "proxy/base/log.h"
#include "proxy/io/durable_file.h"
#include "replication/agent/data_directory.h"
#include "replication/agent/diverged_copy.h"
#include "replication/agent/lost_report.h"
#include "replication/agent/private_folder.h"
#include "replication/agent/quarantine_bound.h"

namespace pgkeel {
namespace {

void completed(QuarantineEntry& entry, const std::string& node, const LocalServerConfig& local,
               std::set<std::string>& tried) {
  if (!entry.data_exists || !entry.removed.empty() || (entry.examined && entry.named) || is_in_use(entry.folder))
    return;
  if (!tried.insert(entry.id).second && entry.examined) return;
  const auto made = complete_lost_report(
      entry, local, [&](const std::string& line) { log(LogLevel::kInfo, node, "report " + entry.id + ": " + line); });
  if (made) {
    entry = *made;
  } else {
    log(LogLevel::kWarning, node, "the report " + entry.id + " is not complete: " + made.error().message);
  }
}

}  // namespace

QuarantineState look_after_quarantine(const std::string& node, const LocalServerConfig& local,
                                      const QuarantineConfig& bounds, std::set<std::string>& tried) {
  QuarantineState state;
  try {
    const auto read = [&] { return read_quarantine(quarantine_folder_of(local), DataDirectory(local).path()); };
    for (auto& entry : read()) {
      remove_left_copy(entry.folder);
      completed(entry, node, local, tried);
    }
    state.removals = bound_quarantine(local, bounds);
    state.entries = read();
    if (const auto owner = DataDirectory(local).owner()) remove_left_private_folders(*owner);
  } catch (const std::exception& problem) {  // a disk that fails under an iterator
    log(LogLevel::kWarning, node, std::string("its quarantine cannot be looked after: ") + problem.what());
  }
  return state;
}

bool is_announced(const std::string& quarantine_folder) {
  std::error_code ignored;
  return std::filesystem::exists(quarantine_folder + "/" + kAnnouncedFile, ignored);
}

Result<void> note_announced(const std::string& quarantine_folder) {
  return write_durably(quarantine_folder + "/" + kAnnouncedFile, "");
}

}  // namespace pgkeel
