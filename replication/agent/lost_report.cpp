#include "replication/agent/lost_report.h"

#include <fcntl.h>
#include <filesystem>
#include <map>
#include <set>
#include <sys/file.h>
#include <tuple>
#include <utility>

#include <nlohmann/json.hpp>

#include "proxy/io/descriptor.h"
#include "proxy/io/durable_file.h"
#include "replication/agent/data_directory.h"
#include "replication/agent/diverged_copy.h"
#include "replication/agent/isolated_server.h"

namespace pgkeel {
namespace {

using Json = nlohmann::json;

constexpr const char* kTransactionsFile = "transactions.jsonl";

// One table as the report shows it, with what became of it.
struct TableRow {
  std::string database;
  std::string schema;
  std::string table;
  RowCounts rows;
  std::set<std::string> storage;  // "created", "dropped", "truncated", "rewritten"
};
using TableKey = std::tuple<std::string, std::string, std::string>;
using Tables = std::map<TableKey, TableRow>;

// What a transaction wrote, in names.
struct NamedWork {
  std::set<std::string> databases;
  Tables tables;
  std::set<std::string> sequences;
  std::set<std::string> catalogs;
  std::set<std::string> created_databases;
  std::set<std::string> dropped_databases;
  bool changed_catalog = false;
};

class Namer {
 public:
  explicit Namer(LostNames& names) : names_(names) {}

  NamedWork name(const WrittenWork& work) {
    NamedWork named;
    named.changed_catalog = work.changed_catalog;
    for (const auto database : work.created_databases) named.created_databases.insert(database_text(database));
    for (const auto database : work.dropped_databases) named.dropped_databases.insert(database_text(database));
    const auto elsewhere = [&](const RelationFile& file) { return work.created_databases.contains(file.database); };
    for (const auto& [file, counts] : work.rows) {
      if (elsewhere(file) || !counts.any()) continue;
      if (auto* row = row_of(file, named)) row->rows += counts;
    }
    // A table with a new file and an old one dropped was truncated or written anew; by its name the two are joined.
    std::map<TableKey, bool> filled;
    for (const auto& file : work.created) {
      if (elsewhere(file)) continue;
      if (auto* row = row_of(file, named)) {
        row->storage.insert("created");
        filled[key_of(*row)] = work.filled.contains(file) || filled[key_of(*row)];
      }
    }
    for (const auto& file : work.dropped) {
      if (work.created.contains(file)) continue;
      if (auto* row = row_of(file, named)) row->storage.insert("dropped");
    }
    for (auto& [key, row] : named.tables) {
      if (!row.storage.contains("created")) continue;
      const auto oid = created_oids_.find(key);
      const bool replaced = row.storage.contains("dropped") || (oid != created_oids_.end() && !oid->second);
      if (replaced) row.storage = {filled[key] ? "rewritten" : "truncated"};
    }
    for (const auto& file : work.sequences) {
      const auto relation = names_.catalog.relation(file);
      if (!relation) names_.all_known = false;
      named.databases.insert(database_text(file.database));
      named.sequences.insert(relation ? relation->schema + "." + relation->name : format_relation_file(file));
    }
    return named;
  }

 private:
  static TableKey key_of(const TableRow& row) { return {row.database, row.schema, row.table}; }

  std::string database_text(std::uint32_t database) {
    if (database == 0) return "";
    const auto name = names_.catalog.database_name(database);
    if (!name) names_.all_known = false;
    return name.value_or(std::to_string(database));
  }

  // Nothing for what is no table of a user: the catalog, TOAST tables and indexes.
  TableRow* row_of(const RelationFile& file, NamedWork& named) {
    const auto relation = names_.catalog.relation(file);
    const auto database = database_text(file.database);
    if (relation && relation->is_catalog) {
      named.changed_catalog = true;
      named.catalogs.insert(relation->name);
      return nullptr;
    }
    if (!database.empty()) named.databases.insert(database);
    if (relation && relation->kind != 'r' && relation->kind != 'm') {
      if (relation->kind == 't') {
        const auto owner = names_.catalog.owner_of_toast(file.database, relation->oid);
        if (owner && !owner->is_catalog) table(database, owner->schema, owner->name, named);
      }
      return nullptr;
    }
    if (!relation) {
      names_.all_known = false;
      return &table(database, "", format_relation_file(file), named);
    }
    auto& row = table(database, relation->schema, relation->name, named);
    created_oids_[key_of(row)] = relation->oid == file.number;
    return &row;
  }

  static TableRow& table(const std::string& database, const std::string& schema, const std::string& name,
                         NamedWork& named) {
    auto& row = named.tables[{database, schema, name}];
    row.database = database;
    row.schema = schema;
    row.table = name;
    return row;
  }

  LostNames& names_;
  std::map<TableKey, bool> created_oids_;  // whether its file is the one that it was made with
};

Json json_of(const Tables& tables) {
  Json list = Json::array();
  for (const auto& [key, row] : tables) {
    Json json = {{"database", row.database},      {"schema", row.schema},        {"table", row.table},
                 {"inserted", row.rows.inserted}, {"updated", row.rows.updated}, {"deleted", row.rows.deleted}};
    if (!row.storage.empty()) json["storage"] = row.storage;
    list.push_back(std::move(json));
  }
  return list;
}

Json json_of(const LostTransaction& transaction, const NamedWork& work) {
  Json json = {{"xid", transaction.xid}, {"databases", work.databases}, {"tables", json_of(work.tables)}};
  if (!transaction.time.empty()) json["time"] = transaction.time;
  if (transaction.lsn.valid()) json["lsn"] = format_lsn(transaction.lsn);
  if (!transaction.subtransactions.empty()) json["subtransactions"] = transaction.subtransactions;
  if (!transaction.gid.empty()) json["gid"] = transaction.gid;
  if (transaction.prepared_before_fork) json["prepared_before_fork"] = true;
  if (work.changed_catalog) json["changed_catalog"] = work.catalogs;
  if (!work.sequences.empty()) json["sequences"] = work.sequences;
  if (!work.created_databases.empty()) json["created_databases"] = work.created_databases;
  if (!work.dropped_databases.empty()) json["dropped_databases"] = work.dropped_databases;
  return json;
}

void add(const Tables& tables, Tables& totals) {
  for (const auto& [key, row] : tables) {
    auto& total = totals[key];
    total.database = row.database;
    total.schema = row.schema;
    total.table = row.table;
    total.rows += row.rows;
    total.storage.insert(row.storage.begin(), row.storage.end());
  }
}

std::string line_of(const Json& json) {
  // Names may be in an encoding that is not UTF-8.
  return json.dump(-1, ' ', false, Json::error_handler_t::replace) + "\n";
}

// The names of the same stretch of log, where the other one has only numbers.
bool tells_more(const Json& known, const Json& other) {
  return known.value("named", false) && !other.at("named").get<bool>() && known.contains("wal_to") &&
         known.at("wal_to") == other.at("wal_to");
}

Result<QuarantineEntry> read_back(const std::string& folder) {
  auto made = read_quarantine_entry(folder);
  if (!made) return Error{"the report in " + folder + " cannot be read back"};
  return std::move(*made);
}

}  // namespace

Result<QuarantineEntry> make_lost_report(const QuarantineEntry& entry, const LocalServerConfig& server,
                                         const std::string& data_directory, const std::string& names_directory,
                                         std::stop_token break_off) {
  auto there = server;
  there.data_directory = data_directory.empty() ? entry.data : data_directory;
  const auto reading = read_lost_history(there, entry.divergence, std::move(break_off));
  if (!reading) return reading.error();

  const auto control = DataDirectory(there).control_data();
  LostNames names(names_directory.empty() ? there.data_directory : names_directory, control ? control->block_bytes : 0);
  Namer namer(names);
  std::string lines;
  Tables totals;
  bool catalog_changed = false;
  for (const auto& transaction : reading->history.committed) {
    const auto work = namer.name(transaction.work);
    add(work.tables, totals);
    catalog_changed = catalog_changed || work.changed_catalog;
    lines += line_of(json_of(transaction, work));
  }
  const auto list = [&](const std::vector<LostTransaction>& transactions) {
    Json json = Json::array();
    for (const auto& transaction : transactions) json.push_back(json_of(transaction, namer.name(transaction.work)));
    return json;
  };
  Json lost = {{"transactions", reading->history.committed.size()},
               {"wal_bytes", reading->wal_end > reading->fork ? reading->wal_end.value - reading->fork.value : 0},
               {"wal_from", format_lsn(reading->fork)},
               {"wal_to", format_lsn(reading->wal_end)},
               {"read_from", format_lsn(reading->read_from)},
               {"tables", json_of(totals)},
               {"changed_catalog", catalog_changed},
               {"prepared", list(reading->history.prepared)},
               {"in_flight", list(reading->history.in_flight)},
               {"rolled_back", reading->history.rolled_back},
               {"transactions_file", kTransactionsFile},
               {"problems", reading->problems}};
  if (!reading->history.committed.empty()) {
    lost["first_commit"] = reading->history.committed.front().time;
    lost["last_commit"] = reading->history.committed.back().time;
  }
  lost["named"] = names.all_known;
  if (!names.all_known) {
    lost["problems"].push_back(
        "some tables have no name in the catalog's files, only the numbers of their files: they "
        "were made or dropped since the last checkpoint");
  }
  // A rejoin, and who looks after the quarantine, may both have read the log: they write one after the other. Where no
  // lock is to be had it is as good as sure all the same.
  const Descriptor folder(open(entry.folder.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC));
  if (folder.is_open()) flock(folder.number(), LOCK_EX);
  auto report = read_report(entry.folder);
  if (!report) return report.error();
  if (report->contains("lost") && tells_more(report->at("lost"), lost)) return read_back(entry.folder);
  (*report)["lost"] = std::move(lost);
  if (auto written = write_durably(entry.folder + "/" + kTransactionsFile, lines, 0600); !written)
    return written.error();
  if (auto written = write_report(entry.folder, *report); !written) return written.error();
  return read_back(entry.folder);
}

Result<QuarantineEntry> complete_lost_report(const QuarantineEntry& entry, const LocalServerConfig& server,
                                             const std::function<void(const std::string&)>& progress) {
  auto made = make_lost_report(entry, server);
  if (!made || made->named) return made;
  auto there = server;
  there.data_directory = entry.data;
  const bool shares = disk_bytes_of_copy(entry.data, entry.folder) == 0;
  auto copy = shares ? DivergedCopy::make(there, entry.folder, entry.folder, progress)
                     : DivergedCopy::in_place(there, entry.folder);
  if (!copy) return copy.error();
  auto opened = IsolatedServer::start((*copy)->server(), false, progress);
  if (!opened) return opened.error();
  if (auto stopped = (*opened)->stop(); !stopped) return stopped.error();
  return make_lost_report(entry, server, "", (*copy)->server().data_directory);
}

std::string lost_text(const QuarantineEntry& entry) {
  const auto megabytes = static_cast<double>(entry.wal_bytes) / 1e6;
  auto amount = std::to_string(megabytes);
  amount.resize(amount.find('.') + 2);
  const auto bytes =
      entry.wal_bytes < 100'000 ? std::to_string(entry.wal_bytes) + " bytes of WAL" : amount + " MB of WAL";
  return std::to_string(entry.transactions) +
         (entry.transactions == 1 ? " committed transaction (" : " committed transactions (") + bytes + ")";
}

}  // namespace pgkeel
