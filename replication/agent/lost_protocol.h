// What an agent tells of the quarantine beside its server, as JSON. Plain data, and the pure functions from it to text
// and back; what comes from the other side is checked. Any thread.
#pragma once

#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "proxy/base/result.h"
#include "replication/agent/agent_protocol.h"
#include "replication/agent/lost_export.h"
#include "replication/agent/quarantine_entry.h"

namespace pgkeel {

// A file is handed over in pieces of this size; a shorter one is the last.
constexpr std::size_t kLostPieceBytes = std::size_t{512} << 10;

struct ToldEntry {
  QuarantineEntry entry;  // with the paths of the agent's host
  bool announced = false;
};

struct ExportedFile {
  std::string name;  // below the export's folder: "postgres/public.t.inserted.csv"
  std::uint64_t bytes = 0;
};

// How far the export of one report is.
struct ExportRecord {
  JobState state = JobState::kRunning;
  std::string message;  // why it failed
  std::uint64_t lines_before = 0;
  std::vector<std::string> lines;   // of its progress
  LostExportReport report;          // of one that is done
  std::vector<ExportedFile> files;  // likewise, summary.json last
};

std::string to_json(const std::vector<ToldEntry>& entries);
std::string to_json(const ExportRecord& record);
Result<std::vector<ToldEntry>> parse_told_entries(std::string_view text);
Result<ExportRecord> parse_export_record(std::string_view text);

// A relative path that stays below the folder it is put in.
bool is_safe_file_name(std::string_view name);

}  // namespace pgkeel
