#include "replication/agent/lost_export.h"

#include <algorithm>
#include <filesystem>
#include <map>
#include <optional>
#include <utility>

#include "proxy/base/sql_quote.h"
#include "proxy/io/blocking_sql.h"
#include "proxy/io/durable_file.h"
#include "replication/agent/catalog_files.h"
#include "replication/agent/data_directory.h"
#include "replication/agent/diverged_copy.h"
#include "replication/agent/isolated_server.h"
#include "replication/agent/lost_export_text.h"
#include "replication/agent/lost_pages.h"
#include "replication/agent/lost_reading.h"
#include "replication/agent/lost_rows.h"
#include "replication/agent/lost_table.h"

namespace pgkeel {
namespace {

namespace files = std::filesystem;
using Json = nlohmann::json;

constexpr const char* kUnfinishedFile = "/.pgkeel-export";
constexpr const char* kRevivedFile = "/.pgkeel-revived.json";

TransactionSet lost_xids(const LostHistory& history) {
  TransactionSet xids;
  for (const auto& transaction : history.committed) {
    xids.insert(transaction.xid);
    xids.insert(transaction.subtransactions.begin(), transaction.subtransactions.end());
  }
  return xids;
}

class Export {
 public:
  Export(const QuarantineEntry& entry, LocalServerConfig server, std::string target,
         const std::function<void(const std::string&)>& progress, std::uint16_t port)
      : entry_(entry), server_(std::move(server)), target_(std::move(target)), say_(progress), port_(port) {}

  Result<LostExportReport> run(const LostReading& reading) {
    lost_ = lost_xids(reading.history);
    if (const auto text = read_file(target_ + kRevivedFile)) {
      const auto before = Json::parse(*text, nullptr, false);
      if (before.is_object()) revived_before_ = before;
    }
    const auto control = DataDirectory(server_).control_data();
    if (!control) return control.error();
    pages_.emplace(control->block_bytes, control->segment_blocks);
    if (auto found = find_rows(reading); !found) return found.error();
    if (auto revived = revive_old_rows(); !revived) return revived.error();
    if (auto written = write_tables(); !written) return written.error();
    if (auto written = write_summary(reading); !written) return written.error();
    return report_;
  }

 private:
  // The first opening: the server recovers, and what is on its pages then is read from their files.
  Result<void> find_rows(const LostReading& reading) {
    say_("opening it alone");
    auto server = IsolatedServer::start(server_, false, say_, port_);
    if (!server) return server.error();
    if (auto written = ask_isolated(**server, "postgres", "CHECKPOINT"); !written) return written.error();
    catalog_.emplace(server_.data_directory, pages_->block_bytes());
    ask_for_sequences(reading.history, *catalog_);
    std::map<std::uint32_t, std::uint32_t> updaters;
    const auto updater_of = [&](std::uint32_t multixact) {
      const auto known = updaters.find(multixact);
      if (known != updaters.end()) return known->second;
      const auto member = ask_isolated(**server, "postgres",
                                       "SELECT xid FROM pg_get_multixact_members('" + std::to_string(multixact) +
                                           "') WHERE mode IN ('upd', 'nokeyupd')");
      const bool any = member && !member->rows.empty() && member->rows[0][0];
      return updaters[multixact] = any ? static_cast<std::uint32_t>(std::stoul(*member->rows[0][0])) : 0;
    };
    std::size_t done = 0;
    for (const auto& [file, blocks] : reading.history.touched_blocks) {
      ++done;
      const auto relation = catalog_->relation(file);
      if (!relation || relation->is_catalog) continue;
      const bool is_toast = relation->kind == 't';
      if (!is_toast && relation->kind != 'r' && relation->kind != 'm') continue;
      if (is_toast) {
        toast_files_.emplace_back(file, &blocks);
        continue;
      }
      LostRowFinder finder(lost_, updater_of);
      const auto path = catalog_->path_of(file);
      if (!path) continue;
      pages_->read(*path, blocks,
                   [&](std::uint32_t block, std::span<const HeapTuple> tuples) { finder.add_page(block, tuples); });
      LostTable table;
      table.file = file;
      table.relation = *relation;
      table.rows = finder.find();
      add_revived_before(table);
      if (!table.rows.any() && table.rows.deletions == 0) continue;
      table.database = catalog_->database_name(file.database).value_or("");
      say_("looking at " + table.database + "." + relation->schema + "." + relation->name + " (" +
           std::to_string(done) + " of " + std::to_string(reading.history.touched_blocks.size()) + " files)");
      compare_with_log(reading, table);
      if (auto described = describe_lost_table(**server, table); !described)
        table.problems.push_back(described.error().message);
      tables_.push_back(std::move(table));
    }
    return (*server)->stop();
  }

  static void compare_with_log(const LostReading& reading, LostTable& table) {
    std::uint64_t in_log = 0;
    for (const auto& transaction : reading.history.committed) {
      const auto found = transaction.work.rows.find(table.file);
      if (found != transaction.work.rows.end()) in_log += found->second.deleted;
    }
    if (in_log <= table.rows.deletions) return;
    table.problems.push_back(std::to_string(in_log - table.rows.deletions) +
                             " deleted rows are no longer on their pages, which were cleaned up since: their keys "
                             "cannot be told");
  }

  // The server does not show what was deleted, unless it seems not to have been; nor would it keep the parts of such a
  // row in a TOAST table.
  Result<void> revive_old_rows() {
    if (auto noted = note_revived(); !noted) return noted;
    for (const auto& table : tables_) {
      const auto path = catalog_->path_of(table.file);
      if (path && !table.old_rows().empty()) {
        if (auto revived = pages_->revive(*path, table.old_rows()); !revived) return revived;
      }
    }
    for (const auto& [file, blocks] : toast_files_) {
      const auto path = catalog_->path_of(file);
      if (!path) continue;
      std::vector<RowPointer> gone;
      pages_->read(*path, *blocks, [&](std::uint32_t block, std::span<const HeapTuple> tuples) {
        for (const auto& tuple : tuples) {
          if (!tuple.xmax_invalid && lost_.contains(tuple.xmax)) gone.push_back({block, tuple.offset});
        }
      });
      if (auto revived = pages_->revive(*path, gone); !revived) return revived;
    }
    return {};
  }

  // Once revived they cannot be told from rows that nobody touched: if we are cut off, the next export needs this.
  [[nodiscard]] Result<void> note_revived() const {
    Json revived = Json::object();
    for (const auto& table : tables_) {
      auto& rows = revived[format_relation_file(table.file)] = Json::array();
      for (const auto& row : table.old_rows()) rows.push_back({row.block, row.offset});
    }
    return write_durably(target_ + kRevivedFile, revived.dump(), 0600);
  }

  // Of an export in place that was cut off.
  void add_revived_before(LostTable& table) const {
    const auto found = revived_before_.find(format_relation_file(table.file));
    if (found == revived_before_.end() || !found->is_array()) return;
    auto& deleted = table.rows.deleted;
    for (const auto& row : *found) {
      if (!row.is_array() || row.size() != 2 || !row[0].is_number_unsigned() || !row[1].is_number_unsigned()) continue;
      deleted.push_back({row[0].get<std::uint32_t>(), row[1].get<std::uint16_t>()});
      ++table.rows.deletions;
    }
    std::ranges::sort(deleted);
    const auto repeated = std::ranges::unique(deleted);
    deleted.erase(repeated.begin(), repeated.end());
  }

  Result<void> write_tables() {
    auto server = IsolatedServer::start(server_, true, say_, port_);
    if (!server) return server.error();
    std::size_t done = 0;
    for (auto& table : tables_) {
      say_("writing " + table.database + "." + table.relation.schema + "." + table.relation.name + " (" +
           std::to_string(++done) + " of " + std::to_string(tables_.size()) + " tables)");
      if (table.columns.empty()) continue;
      if (auto written = write_table(**server, table); !written) return written;
      ++report_.tables;
    }
    for (const auto& [database, name] : sequences_to_ask_) {
      const auto value = ask_isolated(**server, database, "SELECT last_value FROM " + name);
      sequences_.push_back({{"database", database},
                            {"sequence", name},
                            {"last_value", value && !value->rows.empty() ? value->rows[0][0].value_or("") : ""}});
    }
    return (*server)->stop();
  }

  Result<void> write_table(const IsolatedServer& server, LostTable& table) {
    auto connection = BlockingSql::connect(server.conninfo(table.database));
    if (!connection) {
      table.problems.push_back(connection.error().message);
      return {};
    }
    struct Part {
      const char* name;
      const std::vector<RowPointer> rows;
      const std::vector<std::string>& columns;
      std::uint64_t& total;
    };
    const auto& key = table.key.empty() ? table.columns : table.key;
    const Part parts[] = {{"inserted", table.rows.inserted, table.columns, report_.inserted},
                          {"updated", table.rows.updated, table.columns, report_.updated},
                          {"deleted", table.old_rows(), key, report_.deleted}};
    Json json = {{"database", table.database},
                 {"schema", table.relation.schema},
                 {"table", table.relation.name},
                 {"columns", table.columns},
                 {"key", table.key}};
    if (table.relation.is_partition) json["is_partition"] = true;
    for (const auto& part : parts) {
      if (part.rows.empty()) continue;
      const auto name = safe_file_part(table.database) + "/" + safe_file_part(table.relation.schema) + "." +
                        safe_file_part(table.relation.name) + "." + part.name + ".csv";
      auto written = write_lost_rows(*connection, table, part.rows, part.columns, target_ + "/" + name);
      if (!written) return written.error();
      part.total += *written;
      json[part.name] = {{"file", name}, {"rows", *written}};
    }
    json["problems"] = table.problems;
    for (const auto& problem : table.problems) {
      report_.problems.push_back(table.database + "." + table.quoted_name() + ": " + problem);
    }
    described_.push_back(std::move(json));
    return {};
  }

  Result<void> write_summary(const LostReading& reading) {
    Json summary = {{"report", entry_.id},
                    {"node", entry_.divergence.node},
                    {"transactions", reading.history.committed.size()},
                    {"wal_from", format_lsn(reading.fork)},
                    {"wal_to", format_lsn(reading.wal_end)},
                    {"tables", described_},
                    {"sequences", sequences_},
                    {"problems", reading.problems}};
    // What the report says of tables that were made, dropped, truncated or written anew: rows alone do not tell it.
    const auto report = read_report(entry_.folder);
    if (report && report->contains("lost") && (*report)["lost"].contains("tables")) {
      summary["storage"] = Json::array();
      for (const auto& table : (*report)["lost"]["tables"]) {
        if (table.contains("storage")) summary["storage"].push_back(table);
      }
      summary["changed_catalog"] = (*report)["lost"]["changed_catalog"];
    }
    const auto readme = export_readme(entry_.id, entry_.divergence.node);
    if (auto written = write_durably(target_ + "/README.txt", readme, 0644); !written) return written;
    if (auto synced = sync_file_system(target_); !synced) return synced;
    const auto text = summary.dump(2, ' ', false, Json::error_handler_t::replace) + "\n";
    return write_durably(target_ + "/summary.json", text, 0644);
  }

  void ask_for_sequences(const LostHistory& history, CatalogFiles& catalog) {
    std::map<std::pair<std::string, std::string>, bool> wanted;
    for (const auto& transaction : history.committed) {
      for (const auto& file : transaction.work.sequences) {
        const auto relation = catalog.relation(file);
        const auto database = catalog.database_name(file.database);
        if (!relation || !database || relation->kind != 'S') continue;
        wanted[{*database, quote_identifier(relation->schema) + "." + quote_identifier(relation->name)}] = true;
      }
    }
    for (const auto& [sequence, yes] : wanted) sequences_to_ask_.push_back(sequence);
  }

  const QuarantineEntry& entry_;
  LocalServerConfig server_;
  std::string target_;
  std::function<void(const std::string&)> say_;
  std::uint16_t port_;
  TransactionSet lost_;
  std::optional<LostPages> pages_;
  std::optional<CatalogFiles> catalog_;
  std::vector<LostTable> tables_;
  std::vector<std::pair<RelationFile, const std::vector<std::uint32_t>*>> toast_files_;
  std::vector<std::pair<std::string, std::string>> sequences_to_ask_;
  Json revived_before_ = Json::object();
  Json described_ = Json::array();
  Json sequences_ = Json::array();
  LostExportReport report_;
};

}  // namespace

// Ours from an export that was cut off, or nobody's.
Result<void> prepare_export_folder(const std::string& target) {
  std::error_code problem;
  if (files::exists(target + "/summary.json", problem)) {
    return Error{target + " holds an export already; choose another folder"};
  }
  const bool ours = files::exists(target + kUnfinishedFile, problem);
  if (!ours && files::exists(target, problem) && !files::is_empty(target, problem)) {
    return Error{target + " is not empty; choose another folder"};
  }
  if (ours) {
    for (const auto& entry : files::directory_iterator(target, problem)) {
      if (entry.path() != target + kRevivedFile) files::remove_all(entry.path(), problem);
    }
  }
  files::create_directories(target, problem);
  if (problem) return Error{"cannot create " + target + ": " + problem.message()};
  return write_durably(target + kUnfinishedFile, "not complete\n", 0600);
}

Result<void> finish_export_folder(const std::string& target) {
  for (const char* name : {kUnfinishedFile, kRevivedFile}) {
    if (auto removed = remove_durably(target + name); !removed) return removed;
  }
  return {};
}

Result<LostExportReport> export_lost_rows(const QuarantineEntry& entry, const LocalServerConfig& server,
                                          const std::string& data_directory, const std::string& target,
                                          OpenDiverged open, const std::function<void(const std::string&)>& progress,
                                          std::uint16_t port) {
  auto there = server;
  there.data_directory = data_directory;
  if (auto prepared = prepare_export_folder(target); !prepared) return prepared.error();
  if (open == OpenDiverged::kWorkingCopy) {
    if (auto removed = remove_durably(target + kRevivedFile); !removed) return removed.error();
  }
  progress("reading its log");
  const auto reading = read_lost_history(there, entry.divergence);
  if (!reading) return reading.error();
  auto copy = open == OpenDiverged::kInPlace ? DivergedCopy::in_place(there, entry.folder)
                                             : DivergedCopy::make(there, entry.folder, target, progress);
  if (!copy) return copy.error();
  auto report = Export(entry, (*copy)->server(), target, progress, port).run(*reading);
  if (report) {
    if (auto finished = finish_export_folder(target); !finished) return finished.error();
  }
  return report;
}

}  // namespace pgkeel
