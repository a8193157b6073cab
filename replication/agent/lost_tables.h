// Finds the tables that lost transactions wrote to, and in them the rows: from their pages, as they are after the
// server has recovered, and what the server and its log say of them. Blocking; one thread.
#pragma once

#include <functional>
#include <map>
#include <string>
#include <utility>
#include <vector>

#include "proxy/base/result.h"
#include "replication/agent/catalog_files.h"
#include "replication/agent/isolated_server.h"
#include "replication/agent/lost_large_objects.h"
#include "replication/agent/lost_pages.h"
#include "replication/agent/lost_reading.h"
#include "replication/agent/lost_table.h"

namespace pgkeel {

// Old rows that an export which was cut off has made look alive: they cannot be told from others any more.
using RevivedRows = std::map<RelationFile, std::vector<RowPointer>>;

struct LostTables {
  std::vector<LostTable> tables;
  // TOAST tables, and in them the parts of rows that are gone.
  RevivedRows toast;
  std::map<std::uint32_t, LostLargeObjects> large_objects;  // by database
  std::vector<std::string> left_out;  // what the directory has and no file will have, beside the tables' own problems
};

class LostTableFinder {
 public:
  // All of them outlive it. The server runs, and everything that it recovered is on the disk.
  LostTableFinder(const IsolatedServer& server, CatalogFiles& catalog, const LostPages& pages,
                  const TransactionSet& lost)
      : server_(server), catalog_(catalog), pages_(pages), lost_(lost) {}

  Result<LostTables> find(const LostHistory& history, const RevivedRows& revived_before,
                          const std::function<void(const std::string&)>& say);

 private:
  [[nodiscard]] std::uint32_t updater_of(std::uint32_t multixact);
  void look_at(LostTable& table, const std::string& path, const std::vector<std::uint32_t>& blocks,
               const RowCounts& in_log, const RevivedRows& revived_before);
  void look_at_large_objects(const RelationFile& file, const NamedRelation& relation,
                             const std::vector<std::uint32_t>& blocks, const RowCounts& in_log);
  void look_at_toast(const RelationFile& file, const std::vector<std::uint32_t>& blocks);
  void describe(LostTable& table);

  const IsolatedServer& server_;
  CatalogFiles& catalog_;
  const LostPages& pages_;
  const TransactionSet& lost_;
  LostTables found_;
  std::map<std::uint32_t, std::uint32_t> updaters_;  // by multixact
};

}  // namespace pgkeel
