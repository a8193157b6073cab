// The lost-transactions report of a quarantine folder: made from the diverged server's log and catalog, and written
// into the folder as report.json and transactions.jsonl. Making it again gives the same: it can be cut off anywhere.
// Job threads.
#pragma once

#include <functional>
#include <optional>
#include <stop_token>
#include <string>

#include "config/config.h"
#include "proxy/base/result.h"
#include "replication/agent/catalog_files.h"
#include "replication/agent/lost_reading.h"
#include "replication/agent/quarantine_entry.h"

namespace pgkeel {

// What the report says of a table, as JSON has it: {"database", "schema", "table", "inserted", "updated", "deleted"};
// with numbers where there is no name.
struct LostNames {
  LostNames(std::string data_directory, std::uint32_t block_bytes) : catalog(std::move(data_directory), block_bytes) {}

  CatalogFiles catalog;
  bool all_known = true;
};

// Makes the report of `entry`. `server`: the programs and the user of its node. `data_directory`: where the diverged
// server's directory is now, where that is not yet entry.data; empty: there. `names_directory`: where the catalog is
// read, of a copy that has recovered; empty: in the same.
Result<QuarantineEntry> make_lost_report(const QuarantineEntry& entry, const LocalServerConfig& server,
                                         const std::string& data_directory = "",
                                         const std::string& names_directory = "", std::stop_token break_off = {});

// The same, where tables are left without their names: the diverged server is opened alone, so that it recovers, in a
// copy where that costs no room, else in place (nothing of what it keeps goes by that).
Result<QuarantineEntry> complete_lost_report(const QuarantineEntry& entry, const LocalServerConfig& server,
                                             const std::function<void(const std::string&)>& progress);

// "14 committed transactions (2.3 MB of WAL)"
std::string lost_text(const QuarantineEntry& entry);

}  // namespace pgkeel
