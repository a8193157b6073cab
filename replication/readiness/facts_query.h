// The SQL texts that readiness asks a server with, and their answers read back into facts. Pure. PostgreSQL 13 to 17,
// primary or standby, any role: what a role may not see is left out, never an error.
#pragma once

#include <string>
#include <string_view>

#include "config/config.h"
#include "proxy/base/result.h"
#include "replication/readiness/facts.h"

namespace pgkeel {

// What the answer to rights_query_text() says, by which the other texts are made: PostgreSQL checks a function's
// privileges when it prepares a statement, also for a branch that is never taken.
struct AskerRights {
  std::uint32_t version_number = 0;
  bool read_hba = false;
  bool list_wal = false;
  bool stat_files = false;
};

std::string rights_query_text();
Result<AskerRights> parse_rights(std::string_view json);

std::string facts_query_text(const AskerRights& rights, const ClusterConfig& cluster);
Result<ServerFacts> parse_server_facts(std::string_view json);

// Bytes of all databases: looks at every file, so that it is not asked each time. One row, one number.
std::string database_bytes_text();

// Only where the rights allow it: one row per file that a setting names and that is not there, as "setting: path".
std::string missing_files_text();

// The functions that the monitoring role calls, with their arguments, and those that pg_rewind calls on its source.
extern const std::vector<std::string> kMonitorFunctions;
extern const std::vector<std::string> kRewindFunctions;

// The parameters that pgkeel sets by ALTER SYSTEM.
extern const std::vector<std::string> kManagedParameters;

// Settings that name files which every node has for itself.
extern const std::vector<std::string> kFileSettings;

}  // namespace pgkeel
