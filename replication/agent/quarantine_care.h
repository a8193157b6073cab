// What is done again and again for the quarantine of a node on this host, by pgkeel or by the node's agent: reports
// that were cut off are completed, what work that was killed left behind goes, and what is over the bounds. Blocks, for
// minutes where a report has to be completed.
#pragma once

#include <set>
#include <string>
#include <vector>

#include "config/config.h"
#include "proxy/base/result.h"
#include "replication/agent/quarantine_entry.h"

namespace pgkeel {

struct QuarantineState {
  std::vector<QuarantineEntry> entries;  // oldest first
  std::vector<std::string> removals;     // one line for each entry that went, or could not
};

// What an entry held is told before it may go. `tried`: reports whose names this process tried to complete: once is
// enough, it may take long. Those that say nothing yet are tried each time.
QuarantineState look_after_quarantine(const std::string& node, const LocalServerConfig& local,
                                      const QuarantineConfig& bounds, std::set<std::string>& tried);

// In an entry: its event is recorded.
constexpr const char* kAnnouncedFile = "announced";
bool is_announced(const std::string& quarantine_folder);
Result<void> note_announced(const std::string& quarantine_folder);

}  // namespace pgkeel
