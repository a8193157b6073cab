#include "replication/agent/lost_export.h"

#include <array>
#include <filesystem>
#include <map>
#include <optional>
#include <utility>

#include <nlohmann/json.hpp>

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
#include "replication/agent/lost_tables.h"
#include "replication/agent/saved_pages.h"

namespace pgkeel {
namespace {

namespace files = std::filesystem;
using Json = nlohmann::json;

constexpr const char* kUnfinishedFile = "/.pgkeel-export";
constexpr const char* kRevivedFile = "/.pgkeel-revived.json";
constexpr const char* kSavedPagesFile = "/.pgkeel-pages";
constexpr const char* kIncompleteSummary = "/incomplete.json";
constexpr std::size_t kRevivedBytesMax = std::size_t{1} << 30U;

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
  Export(const QuarantineEntry& entry, LocalServerConfig server, std::string target, OpenDiverged open,
         const std::function<void(const std::string&)>& progress, std::uint16_t port)
      : entry_(entry),
        server_(std::move(server)),
        target_(std::move(target)),
        in_place_(open == OpenDiverged::kInPlace),
        say_(progress),
        port_(port) {}

  Result<LostExportReport> run(const LostReading& reading) {
    lost_ = lost_xids(reading.history);
    read_revived();
    const auto control = DataDirectory(server_).control_data();
    if (!control) return control.error();
    pages_.emplace(control->block_bytes, control->segment_blocks);
    leave_out_what_is_in_no_table(reading);
    if (auto found = find_rows(reading); !found) return found.error();
    auto written = revive_old_rows();
    if (written) written = write_tables();
    // Its server is stopped by now, however it ended.
    if (in_place_) {
      if (auto put = put_back_revived_pages(server_, target_); !put) return put.error();
    }
    if (written) written = write_summary(reading);
    if (!written) return written.error();
    return report_;
  }

 private:
  void leave_out_what_is_in_no_table(const LostReading& reading) {
    if (!reading.whole) report_.left_out = reading.problems;
    for (const auto& transaction : reading.history.prepared) {
      report_.left_out.push_back(
          "transaction " + std::to_string(transaction.xid) +
          ", which is prepared and was not ended, is in no file: only the data directory has it");
    }
  }

  // The first opening: the server recovers, and what is on its pages then is read from their files.
  Result<void> find_rows(const LostReading& reading) {
    say_("opening it alone");
    auto server = IsolatedServer::start(server_, false, say_, port_);
    if (!server) return server.error();
    if (auto written = ask_isolated(**server, kMaintenanceDatabase, "CHECKPOINT"); !written) return written.error();
    catalog_.emplace(server_.data_directory, pages_->block_bytes());
    ask_for_sequences(reading.history, *catalog_);
    auto found = LostTableFinder(**server, *catalog_, *pages_, lost_).find(reading.history, revived_before_, say_);
    if (!found) return found.error();
    found_ = std::move(*found);
    for (const auto& [database, objects] : large_objects_before_) {
      auto& here = found_.large_objects[database];
      here.database = catalog_->database_name(database).value_or("");
      add_noted(here, note_of(objects));
    }
    report_.left_out.insert(report_.left_out.end(), found_.left_out.begin(), found_.left_out.end());
    return (*server)->stop();
  }

  // The server does not show what was deleted, unless it seems not to have been; nor would it keep the parts of such a
  // row in a TOAST table.
  Result<void> revive_old_rows() {
    auto rows = found_.toast;
    for (const auto& table : found_.tables) {
      if (auto old = table.old_rows(); !old.empty()) rows[table.file] = std::move(old);
    }
    if (auto noted = note_revived(); !noted) return noted;
    if (in_place_) {
      SavedPages saved(target_ + kSavedPagesFile, server_.data_directory);
      for (const auto& [file, old] : rows) {
        if (auto kept = pages_->save(catalog_->path_of(file).value_or(""), old, saved); !kept) return kept;
      }
      if (auto finished = saved.finish(); !finished) return finished;
    }
    for (const auto& [file, old] : rows) {
      if (auto revived = pages_->revive(catalog_->path_of(file).value_or(""), old); !revived) return revived;
    }
    return {};
  }

  // If we are cut off, and the log has such a page by then, the next export cannot tell them from rows that nobody
  // touched.
  [[nodiscard]] Result<void> note_revived() const {
    Json revived = Json::array();
    for (const auto& table : found_.tables) {
      Json rows = Json::array();
      for (const auto& row : table.old_rows()) rows.push_back({row.block, row.offset});
      revived.push_back({{"file", {table.file.tablespace, table.file.database, table.file.number}}, {"rows", rows}});
    }
    for (const auto& [database, objects] : found_.large_objects)
      revived.push_back({{"database", database}, {"large_objects", note_of(objects)}});
    return write_durably(target_ + kRevivedFile, revived.dump(), 0600);
  }

  void read_revived() {
    RevivedRows revived;
    std::map<std::uint32_t, LostLargeObjects> objects;
    const auto text = read_file(target_ + kRevivedFile, kRevivedBytesMax);
    const auto before = text ? Json::parse(*text, nullptr, false) : Json();
    try {
      for (const auto& table : before) {
        if (table.contains("large_objects")) {
          add_noted(objects[table.at("database").get<std::uint32_t>()], table.at("large_objects"));
          continue;
        }
        const auto file = table.at("file").get<std::array<std::uint32_t, 3>>();
        auto& rows = revived[{file[0], file[1], file[2]}];
        for (const auto& row : table.at("rows")) rows.push_back({row.at(0), row.at(1)});
      }
    } catch (const Json::exception&) {  // somebody edited it
      return;
    }
    revived_before_ = std::move(revived);
    large_objects_before_ = std::move(objects);
  }

  Result<void> write_tables() {
    auto server = IsolatedServer::start(server_, true, say_, port_);
    if (!server) return server.error();
    std::size_t done = 0;
    for (auto& table : found_.tables) {
      say_("writing " + table.database + "." + table.relation.schema + "." + table.relation.name + " (" +
           std::to_string(++done) + " of " + std::to_string(found_.tables.size()) + " tables)");
      if (auto written = write_table(**server, table); !written) return written;
    }
    for (auto& [database, objects] : found_.large_objects) {
      if (auto written = write_objects(**server, objects); !written) return written;
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
    Json json = {{"database", table.database},
                 {"schema", table.relation.schema},
                 {"table", table.relation.name},
                 {"columns", table.columns},
                 {"key", table.key}};
    if (table.relation.is_partition) json["is_partition"] = true;
    if (!table.columns.empty()) {
      if (auto written = write_rows(server, table, json); !written) return written;
    }
    json["problems"] = table.problems;
    json["left_out"] = table.left_out;
    const auto name = table.database + "." + table.quoted_name() + ": ";
    for (const auto& problem : table.problems) report_.problems.push_back(name + problem);
    for (const auto& what : table.left_out) report_.left_out.push_back(name + what);
    described_.push_back(std::move(json));
    return {};
  }

  Result<void> write_rows(const IsolatedServer& server, LostTable& table, Json& json) {
    auto connection = BlockingSql::connect(server.conninfo(table.database));
    if (!connection) {
      table.left_out.push_back(connection.error().message);
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
                          {"inserted_or_updated", table.rows.unrooted, table.columns, report_.updated},
                          {"deleted", table.old_rows(), key, report_.deleted}};
    for (const auto& part : parts) {
      if (part.rows.empty()) continue;
      const auto name = safe_file_part(table.database) + "/" + safe_file_part(table.relation.schema) + "." +
                        safe_file_part(table.relation.name) + "." + part.name + ".csv";
      auto written = write_lost_rows(*connection, table, part.rows, part.columns, target_ + "/" + name);
      if (!written) return written.error();
      part.total += *written;
      json[part.name] = {{"file", name}, {"rows", *written}};
    }
    ++report_.tables;
    return {};
  }

  Result<void> write_objects(const IsolatedServer& server, LostLargeObjects& objects) {
    if (!objects.touched.empty())
      say_("writing " + std::to_string(objects.touched.size()) + " large objects of " + objects.database);
    auto written = write_large_objects(server, objects, target_, report_.large_objects);
    if (!written) return written.error();
    const auto name = objects.database + ": ";
    for (const auto& problem : objects.problems) report_.problems.push_back(name + problem);
    for (const auto& what : objects.left_out) report_.left_out.push_back(name + what);
    if (!objects.touched.empty() || !objects.problems.empty() || !objects.left_out.empty())
      large_objects_.push_back(std::move(*written));
    return {};
  }

  Result<void> write_summary(const LostReading& reading) {
    Json summary = {{"report", entry_.id},
                    {"node", entry_.divergence.node},
                    {"transactions", reading.history.committed.size()},
                    {"wal_from", format_lsn(reading.fork)},
                    {"wal_to", format_lsn(reading.wal_end)},
                    {"tables", described_},
                    {"large_objects", large_objects_},
                    {"sequences", sequences_},
                    {"complete", report_.complete()},
                    {"left_out", report_.left_out},
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
    // In place of a copy it counts only where it is complete.
    const bool counts = report_.complete() || !in_place_;
    return write_durably(target_ + (counts ? "/summary.json" : kIncompleteSummary), text, 0644);
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
  bool in_place_;
  std::function<void(const std::string&)> say_;
  std::uint16_t port_;
  TransactionSet lost_;
  std::optional<LostPages> pages_;
  std::optional<CatalogFiles> catalog_;
  LostTables found_;
  RevivedRows revived_before_;
  std::map<std::uint32_t, LostLargeObjects> large_objects_before_;  // by database
  std::vector<std::pair<std::string, std::string>> sequences_to_ask_;
  Json described_ = Json::array();
  Json large_objects_ = Json::array();
  Json sequences_ = Json::array();
  LostExportReport report_;
};

}  // namespace

Result<void> put_back_revived_pages(const LocalServerConfig& server, const std::string& target) {
  const auto owner = DataDirectory(server).owner();
  if (!owner) return owner.error();
  return put_back_pages(target + kSavedPagesFile, server.data_directory, *owner);
}

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
  if (open == OpenDiverged::kInPlace) {
    if (auto put = put_back_revived_pages(there, target); !put) return put.error();
  }
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
  auto report = Export(entry, (*copy)->server(), target, open, progress, port).run(*reading);
  if (report && (report->complete() || open == OpenDiverged::kWorkingCopy)) {
    if (auto finished = finish_export_folder(target); !finished) return finished.error();
  }
  return report;
}

}  // namespace pgkeel
