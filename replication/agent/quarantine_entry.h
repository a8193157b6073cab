// One folder of a quarantine, read: whose it is, what it keeps, and what its report says was lost. Plain functions on a
// folder, for `pgkeel lost`, the status, and whoever serves them from another host. Blocking; any thread.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include <nlohmann/json_fwd.hpp>

#include "config/config.h"
#include "proxy/base/result.h"
#include "replication/agent/quarantine.h"

namespace pgkeel {

struct QuarantineEntry {
  std::string id;      // the folder's name: "a-20261123T081530.123Z"
  std::string folder;  // the whole path
  std::string time;    // when it was made: "20261123T081530.123Z"
  Divergence divergence;
  std::string data;          // the stopped data directory that is kept; empty: an export was made in its place
  bool data_exists = false;  // a directory that is moved aside is not there before the rebuild is complete
  bool has_export = false;   // in `<folder>/export`
  std::string removed;       // why what was kept is not there any more; empty: nobody removed it for a bound

  bool examined = false;  // what was lost is known, as far as `problems` does not restrict that
  bool named = false;     // and every table in it has its name
  std::uint64_t transactions = 0;
  std::uint64_t wal_bytes = 0;
  std::vector<std::string> problems;
};

// Where the quarantine of a node on this host is.
std::string quarantine_folder_of(const LocalServerConfig& local);

// The complete entries of this data directory, oldest first. A folder that cannot be read is left out.
std::vector<QuarantineEntry> read_quarantine(const std::string& folder, const std::string& data_directory);
std::optional<QuarantineEntry> read_quarantine_entry(const std::string& folder);

// report.json as it is.
Result<nlohmann::json> read_report(const std::string& folder);
Result<void> write_report(const std::string& folder, const nlohmann::json& report);  // durably

// The lost transactions, one JSON object each, as report.json's "transactions_file" names them.
Result<std::vector<nlohmann::json>> read_lost_transactions(const std::string& folder);

// The parts of that for whoever has read the files otherwise. Empty: the report names none.
std::string transactions_file_of(const nlohmann::json& report);
Result<std::vector<nlohmann::json>> parse_lost_transactions(const std::string& text, const std::string& file_name);

}  // namespace pgkeel
