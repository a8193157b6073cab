// One table of an export: what is to be written of it, what its columns are, and the writing. Blocking; one thread.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "proxy/base/result.h"
#include "proxy/io/blocking_sql.h"
#include "replication/agent/catalog_files.h"
#include "replication/agent/isolated_server.h"
#include "replication/agent/lost_rows.h"

namespace pgkeel {

// For questions that are about no database: every cluster has it, and nobody needs to keep clients out of it.
constexpr const char* kMaintenanceDatabase = "template1";

struct LostTable {
  RelationFile file;
  NamedRelation relation;
  std::string database;
  LostRows rows;
  std::vector<std::string> columns;
  std::vector<std::string> key;       // primary key or replica identity; empty: it has neither
  std::vector<std::string> left_out;  // what the directory has of the lost rows and the files have not
  std::vector<std::string> problems;  // what neither has any more

  [[nodiscard]] std::string quoted_name() const;
  // Of which rows the cluster's version is to be read; they ascend.
  [[nodiscard]] std::vector<RowPointer> old_rows() const;
};

// On a connection of its own.
Result<SqlRows> ask_isolated(const IsolatedServer& server, const std::string& database, const std::string& sql);

// A database that lets nobody in (ALLOW_CONNECTIONS false) lets us in from now on.
Result<void> let_in(const IsolatedServer& server, const std::string& database);

// Fills in its columns and its key.
Result<void> describe_lost_table(const IsolatedServer& server, LostTable& table);

// Answers how many rows are in the file. A row that cannot be read keeps no other one away.
Result<std::uint64_t> write_lost_rows(BlockingSql& connection, LostTable& table, const std::vector<RowPointer>& rows,
                                      const std::vector<std::string>& columns, const std::string& path);

}  // namespace pgkeel
