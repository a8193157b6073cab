#include "proxy/cli/lost_text.h"

#include <algorithm>

#include <fmt/format.h>
#include <nlohmann/json.hpp>

#include "proxy/cli/decision_lines.h"

namespace pgkeel {
namespace {

using Json = nlohmann::json;

std::string bytes_text(std::uint64_t bytes) {
  if (bytes < 1024) return fmt::format("{} B", bytes);
  if (bytes < 1024 * 1024) return fmt::format("{:.1f} KiB", static_cast<double>(bytes) / 1024);
  return fmt::format("{:.1f} MiB", static_cast<double>(bytes) / (1024 * 1024));
}

std::string state_of(const QuarantineEntry& entry) {
  if (!entry.examined) return "not read yet";
  if (!entry.removed.empty()) return "its data was removed: " + entry.removed;
  if (entry.has_export) return "rows are written out";
  if (!entry.data_exists) return "its data directory is not there";
  return entry.named ? "" : "without some names";
}

std::string word(const Json& json, const char* name) {
  const auto found = json.find(name);
  if (found == json.end()) return "";
  return found->is_string() ? found->get<std::string>() : found->dump();
}

std::string joined(const Json& list) {
  std::string text;
  for (const auto& element : list) {
    if (element.is_string()) text += (text.empty() ? "" : ", ") + element.get<std::string>();
  }
  return text;
}

std::string table_name(const Json& table) {
  const auto schema = word(table, "schema");
  return fmt::format("{}{}{}", schema, schema.empty() ? "file " : ".", word(table, "table"));
}

std::string changes_text(const Json& table) {
  std::string text;
  for (const char* what : {"inserted", "updated", "deleted"}) {
    const auto count = word(table, what);
    if (!count.empty() && count != "0") text += fmt::format("{}{} {}", text.empty() ? "" : ", ", count, what);
  }
  if (table.contains("storage")) text += fmt::format("{}{}", text.empty() ? "" : ", ", joined(table["storage"]));
  return text;
}

std::string transaction_text(const Json& transaction) {
  std::string text = fmt::format("  {:>10}  {}", word(transaction, "xid"), word(transaction, "time"));
  if (const auto databases = joined(transaction.value("databases", Json::array())); !databases.empty()) {
    text += fmt::format("  database {}", databases);
  }
  if (transaction.contains("gid")) text += fmt::format("  prepared as '{}'", word(transaction, "gid"));
  if (transaction.value("prepared_before_fork", false)) text += "  (prepared in the cluster too: commit it there)";
  text += "\n";
  for (const auto& table : transaction.value("tables", Json::array())) {
    const auto changes = changes_text(table);
    text += fmt::format("              {}{}{}\n", table_name(table), changes.empty() ? "" : ": ", changes);
  }
  if (transaction.contains("sequences")) text += "              sequences: " + joined(transaction["sequences"]) + "\n";
  if (transaction.contains("changed_catalog")) {
    const auto catalogs = joined(transaction["changed_catalog"]);
    text += fmt::format("              changed the catalog{}{}\n", catalogs.empty() ? "" : ": ", catalogs);
  }
  for (const auto& [key, what] :
       {std::pair("created_databases", "created database "), std::pair("dropped_databases", "dropped database ")}) {
    if (transaction.contains(key)) text += fmt::format("              {}{}\n", what, joined(transaction[key]));
  }
  return text;
}

std::string section(const char* title, const Json& transactions) {
  if (transactions.empty()) return "";
  std::string text = fmt::format("\n{}:\n", title);
  for (const auto& transaction : transactions) text += transaction_text(transaction);
  return text;
}

}  // namespace

std::string lost_list_text(const std::vector<QuarantineEntry>& entries) {
  if (entries.empty()) return "nothing was lost, as far as this host knows\n";
  std::string text = fmt::format("{:<36} {:<12} {:>12} {:>12}  {}\n", "report", "node", "transactions", "WAL", "");
  for (const auto& entry : entries) {
    text += fmt::format("{:<36} {:<12} {:>12} {:>12}  {}\n", entry.id, entry.divergence.node,
                        entry.examined ? std::to_string(entry.transactions) : "-",
                        entry.examined ? bytes_text(entry.wal_bytes) : "-", state_of(entry));
  }
  return text;
}

Json lost_list_json(const std::vector<QuarantineEntry>& entries) {
  Json list = Json::array();
  for (const auto& entry : entries) {
    list.push_back({{"report", entry.id},
                    {"node", entry.divergence.node},
                    {"folder", entry.folder},
                    {"time", entry.time},
                    {"data", entry.data},
                    {"data_exists", entry.data_exists},
                    {"exported", entry.has_export},
                    {"removed", entry.removed},
                    {"examined", entry.examined},
                    {"named", entry.named},
                    {"transactions", entry.transactions},
                    {"wal_bytes", entry.wal_bytes},
                    {"problems", entry.problems}});
  }
  return {{"reports", list}};
}

std::string lost_report_text(const QuarantineEntry& entry, const Json& report, const std::vector<Json>& transactions) {
  const auto lost = report.value("lost", Json::object());
  std::string text = fmt::format("{}: {} of {} {} not in the cluster ({} of WAL, {} to {})\n", entry.id,
                                 committed_transactions(entry.transactions), entry.divergence.node,
                                 entry.transactions == 1 ? "is" : "are", bytes_text(entry.wal_bytes),
                                 word(lost, "wal_from"), word(lost, "wal_to"));
  text += fmt::format("  {} left timeline {} at {}; {} was on timeline {}\n", entry.divergence.upstream,
                      entry.divergence.fork_timeline, word(lost, "wal_from"), entry.divergence.node,
                      entry.divergence.timeline);
  text += fmt::format("  why: {}\n", entry.divergence.reason);
  if (entry.removed.empty()) {
    text += fmt::format("  kept: {}{}\n", entry.data.empty() ? entry.folder + "/export" : entry.data,
                        entry.data.empty() || entry.data_exists ? "" : " (not there)");
  } else {
    text += fmt::format("  kept: only this report; the data was removed: {}\n", entry.removed);
  }
  for (const auto& problem : entry.problems) text += "  but: " + problem + "\n";
  const auto tables = lost.value("tables", Json::array());
  if (!tables.empty()) text += "\ntables:\n";
  for (const auto& table : tables) {
    text += fmt::format("  {}: {}: {}\n", word(table, "database"), table_name(table), changes_text(table));
  }
  text += section("committed", Json(transactions));
  text += section("prepared, not committed", lost.value("prepared", Json::array()));
  text += section("in flight, not committed", lost.value("in_flight", Json::array()));
  return text;
}

}  // namespace pgkeel
