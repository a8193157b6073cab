#include "replication/agent/quarantine_entry.h"

#include <algorithm>
#include <filesystem>
#include <sstream>
#include <utility>

#include <nlohmann/json.hpp>

#include "proxy/io/durable_file.h"

namespace pgkeel {
namespace {

namespace files = std::filesystem;
using Json = nlohmann::json;

constexpr std::size_t kReportBytesMax = std::size_t{64} << 20;
constexpr std::size_t kTransactionsBytesMax = std::size_t{4} << 30;

// What a report holds is checked, as every file is that somebody may have edited.
std::string text_of(const Json& json, const char* name) {
  const auto found = json.find(name);
  return found != json.end() && found->is_string() ? found->get<std::string>() : std::string();
}

std::uint64_t number_of(const Json& json, const char* name) {
  const auto found = json.find(name);
  return found != json.end() && found->is_number_unsigned() ? found->get<std::uint64_t>() : 0;
}

bool flag_of(const Json& json, const char* name) {
  const auto found = json.find(name);
  return found != json.end() && found->is_boolean() && found->get<bool>();
}

void read_lost(const Json& report, QuarantineEntry& entry) {
  const auto lost = report.find("lost");
  if (lost == report.end() || !lost->is_object()) return;
  entry.examined = true;
  entry.named = flag_of(*lost, "named");
  entry.transactions = number_of(*lost, "transactions");
  entry.wal_bytes = number_of(*lost, "wal_bytes");
  const auto problems = lost->find("problems");
  if (problems == lost->end() || !problems->is_array()) return;
  for (const auto& problem : *problems) {
    if (problem.is_string()) entry.problems.push_back(problem.get<std::string>());
  }
}

}  // namespace

std::string quarantine_folder_of(const LocalServerConfig& local) {
  return Quarantine(local.quarantine, DataDirectory(local)).folder();
}

Result<Json> read_report(const std::string& folder) {
  const auto text = read_file(folder + "/report.json", kReportBytesMax);
  if (!text) return text.error();
  auto report = Json::parse(*text, nullptr, false);
  if (!report.is_object()) return Error{folder + "/report.json is damaged"};
  return report;
}

Result<void> write_report(const std::string& folder, const Json& report) {
  // Names may be in an encoding that is not UTF-8.
  const auto text = report.dump(2, ' ', false, Json::error_handler_t::replace) + "\n";
  return write_durably(folder + "/report.json", text, 0644);
}

std::string transactions_file_of(const Json& report) {
  const auto lost = report.find("lost");
  const auto name = lost == report.end() || !lost->is_object() ? "" : text_of(*lost, "transactions_file");
  return name.find('/') == std::string::npos ? name : "";
}

Result<std::vector<Json>> parse_lost_transactions(const std::string& text, const std::string& file_name) {
  std::vector<Json> transactions;
  std::istringstream lines(text);
  for (std::string line; std::getline(lines, line);) {
    auto transaction = Json::parse(line, nullptr, false);
    if (!transaction.is_object()) return Error{file_name + " is damaged"};
    transactions.push_back(std::move(transaction));
  }
  return transactions;
}

Result<std::vector<Json>> read_lost_transactions(const std::string& folder) {
  const auto report = read_report(folder);
  if (!report) return report.error();
  const auto name = transactions_file_of(*report);
  if (name.empty()) return std::vector<Json>();
  const auto text = read_file(folder + "/" + name, kTransactionsBytesMax);
  if (!text) return text.error();
  return parse_lost_transactions(*text, folder + "/" + name);
}

std::optional<QuarantineEntry> read_quarantine_entry(const std::string& folder) {
  const auto report = read_report(folder);
  if (!report) return std::nullopt;
  QuarantineEntry entry;
  entry.folder = folder;
  entry.id = files::path(folder).filename();
  entry.time = text_of(*report, "time");
  auto& divergence = entry.divergence;
  divergence.node = text_of(*report, "node");
  divergence.system_identifier = text_of(*report, "system_identifier");
  divergence.timeline = static_cast<Timeline>(number_of(*report, "timeline"));
  divergence.wal_end = parse_lsn(text_of(*report, "wal_end"));
  divergence.upstream = text_of(*report, "upstream");
  divergence.upstream_timeline = static_cast<Timeline>(number_of(*report, "upstream_timeline"));
  divergence.fork = parse_lsn(text_of(*report, "fork"));
  divergence.fork_timeline = static_cast<Timeline>(number_of(*report, "fork_timeline"));
  divergence.reason = text_of(*report, "reason");
  const auto data = text_of(*report, "data");
  if (!data.empty()) entry.data = data.starts_with('/') ? data : folder + "/" + data;
  std::error_code ignored;
  entry.data_exists = !entry.data.empty() && files::exists(entry.data + "/global", ignored);
  entry.has_export = files::exists(folder + "/export/summary.json", ignored);
  if (const auto removed = report->find(kQuarantineRemoved); removed != report->end() && removed->is_object())
    entry.removed = text_of(*removed, "reason");
  read_lost(*report, entry);
  return entry;
}

std::vector<QuarantineEntry> read_quarantine(const std::string& folder, const std::string& data_directory) {
  std::vector<QuarantineEntry> entries;
  std::error_code ignored;
  for (const auto& found : files::directory_iterator(folder, ignored)) {
    const auto source = read_file(found.path() / kQuarantineSourceFile, 65536);
    if (!source || *source != data_directory) continue;
    if (auto entry = read_quarantine_entry(found.path())) entries.push_back(std::move(*entry));
  }
  std::ranges::sort(entries, {}, &QuarantineEntry::time);
  return entries;
}

}  // namespace pgkeel
