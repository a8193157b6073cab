// Writes the rows that lost transactions left behind as CSV files, for an operator to bring back by hand: the newest
// version of what they inserted and updated, and the keys of what they deleted. The diverged server is opened alone for
// that (IsolatedServer). Job threads, and a command that a person waits for.
#pragma once

#include <functional>
#include <string>

#include "config/config.h"
#include "proxy/base/result.h"
#include "replication/agent/isolated_server.h"
#include "replication/agent/lost_large_objects.h"
#include "replication/agent/quarantine_entry.h"

namespace pgkeel {

enum class OpenDiverged {
  kWorkingCopy,  // a copy of what is kept is opened, and removed again: the evidence stays as it is
  kInPlace,      // the directory itself, which will be given up afterwards: there is no room for more
};

struct LostExportReport {
  std::uint64_t tables = 0;
  std::uint64_t inserted = 0;
  std::uint64_t updated = 0;
  std::uint64_t deleted = 0;
  LargeObjectCounts large_objects;
  std::vector<std::string> problems;  // what neither the files nor the directory have any more
  std::vector<std::string> left_out;  // what the directory has, and the files have not

  [[nodiscard]] bool complete() const { return left_out.empty(); }
};

// `data_directory`: the diverged server's directory. `target`: a folder that is not there yet or empty, or one of an
// export that was cut off, which is made anew. `port`: see IsolatedServer::start(). It has `summary.json` only when it
// is over; one in place only where it is complete, else `incomplete.json`, and the next one makes it anew.
Result<LostExportReport> export_lost_rows(const QuarantineEntry& entry, const LocalServerConfig& server,
                                          const std::string& data_directory, const std::string& target,
                                          OpenDiverged open, const std::function<void(const std::string&)>& progress,
                                          std::uint16_t port = IsolatedServer::kUsualPort);

// An export in place into `target` that was cut off may have left rows in the directory of `server` looking as if
// nobody had deleted them: their pages become again what they were. Done where there are none.
Result<void> put_back_revived_pages(const LocalServerConfig& server, const std::string& target);

// The folder of an export that is made elsewhere and brought there: as above, ours until it is finished.
Result<void> prepare_export_folder(const std::string& target);
Result<void> finish_export_folder(const std::string& target);

}  // namespace pgkeel
