#include "replication/agent/lost_protocol.h"

#include <algorithm>
#include <array>
#include <utility>

#include "config/values.h"
#include "replication/agent/json_members.h"

namespace pgkeel {
namespace {

constexpr std::size_t kEntriesMax = 10000;
constexpr std::size_t kFilesMax = 1'000'000;
constexpr std::size_t kTextsMax = 100000;
constexpr std::array<std::pair<JobState, const char*>, 3> kExportStates = {
    {{JobState::kRunning, "running"}, {JobState::kDone, "done"}, {JobState::kFailed, "failed"}}};

Json lsn_json(const std::optional<Lsn>& lsn) {
  return lsn ? Json(format_lsn(*lsn)) : Json(nullptr);
}

std::optional<Lsn> lsn_in(Members& members, const char* name) {
  return members.find(name) == nullptr ? std::nullopt : std::optional(members.lsn(name));
}

std::vector<std::string> texts_in(Members& members, const char* name, std::size_t most) {
  std::vector<std::string> texts;
  for (const auto& element : members.array(name, most)) {
    if (element.is_string()) texts.push_back(element.get<std::string>());
  }
  return texts;
}

// A report's name is that of its folder: "a-20261123T081530.123Z".
bool is_report_name(std::string_view text) {
  return !text.empty() && text.size() <= 128 && text.front() != '.' && std::ranges::all_of(text, [](char c) {
    return std::isalnum(static_cast<unsigned char>(c)) != 0 || c == '-' || c == '_' || c == '.';
  });
}

}  // namespace

bool is_safe_file_name(std::string_view name) {
  if (name.empty() || name.size() > kTextBytesMax || name.front() == '/') return false;
  while (true) {
    const auto slash = name.find('/');
    const auto part = name.substr(0, slash);
    if (part.empty() || part.front() == '.') return false;  // neither "..", nor what is hidden
    if (std::ranges::any_of(part, [](char c) { return static_cast<unsigned char>(c) < 0x20 || c == 0x7F; }))
      return false;
    if (slash == std::string_view::npos) return true;
    name.remove_prefix(slash + 1);
  }
}

std::string to_json(const std::vector<ToldEntry>& entries) {
  Json list = Json::array();
  for (const auto& [entry, announced] : entries) {
    const auto& divergence = entry.divergence;
    list.push_back({{"id", entry.id},
                    {"folder", entry.folder},
                    {"time", entry.time},
                    {"node", divergence.node},
                    {"system_identifier", divergence.system_identifier},
                    {"timeline", divergence.timeline},
                    {"wal_end", lsn_json(divergence.wal_end)},
                    {"upstream", divergence.upstream},
                    {"upstream_timeline", divergence.upstream_timeline},
                    {"fork", lsn_json(divergence.fork)},
                    {"fork_timeline", divergence.fork_timeline},
                    {"reason", divergence.reason},
                    {"data", entry.data},
                    {"data_exists", entry.data_exists},
                    {"has_export", entry.has_export},
                    {"removed", entry.removed},
                    {"examined", entry.examined},
                    {"named", entry.named},
                    {"transactions", entry.transactions},
                    {"wal_bytes", entry.wal_bytes},
                    {"problems", entry.problems},
                    {"announced", announced}});
  }
  return dump_line({{"entries", std::move(list)}});
}

Result<std::vector<ToldEntry>> parse_told_entries(std::string_view text) {
  const Json json = parse_json(text);
  Members members(json);
  std::vector<ToldEntry> entries;
  for (const auto& row : members.array("entries", kEntriesMax)) {
    Members inner(row);
    QuarantineEntry entry;
    entry.id = inner.text("id");
    if (!is_report_name(entry.id)) inner.complain("id is no name of a report");
    entry.folder = inner.text("folder");
    entry.time = inner.text("time");
    auto& divergence = entry.divergence;
    divergence.node = inner.text("node");
    if (inner.problem().empty()) inner.complain_where(complain_of_node_name(divergence.node));
    divergence.system_identifier = inner.text("system_identifier");
    divergence.timeline = inner.number<Timeline>("timeline");
    divergence.wal_end = lsn_in(inner, "wal_end");
    divergence.upstream = inner.text("upstream");
    divergence.upstream_timeline = inner.number<Timeline>("upstream_timeline");
    divergence.fork = lsn_in(inner, "fork");
    divergence.fork_timeline = inner.number<Timeline>("fork_timeline");
    divergence.reason = inner.text("reason", 65536);
    entry.data = inner.text("data");
    entry.data_exists = inner.flag("data_exists");
    entry.has_export = inner.flag("has_export");
    entry.removed = inner.text_or("removed", "");
    entry.examined = inner.flag("examined");
    entry.named = inner.flag("named");
    entry.transactions = inner.number<std::uint64_t>("transactions");
    entry.wal_bytes = inner.number<std::uint64_t>("wal_bytes");
    entry.problems = texts_in(inner, "problems", kTextsMax);
    const bool announced = inner.flag("announced");
    if (!inner.problem().empty()) members.complain(inner.problem());
    entries.push_back({std::move(entry), announced});
  }
  return checked(members, std::move(entries), "list of lost-transactions reports");
}

std::string to_json(const ExportRecord& record) {
  Json files = Json::array();
  for (const auto& file : record.files) files.push_back({{"name", file.name}, {"bytes", file.bytes}});
  return dump_line({{"state", name_of(kExportStates, record.state)},
                    {"message", record.message},
                    {"lines_before", record.lines_before},
                    {"lines", record.lines},
                    {"tables", record.report.tables},
                    {"inserted", record.report.inserted},
                    {"updated", record.report.updated},
                    {"deleted", record.report.deleted},
                    {"large_objects", record.report.large_objects.written},
                    {"large_objects_deleted", record.report.large_objects.deleted},
                    {"problems", record.report.problems},
                    {"left_out", record.report.left_out},
                    {"files", std::move(files)}});
}

Result<ExportRecord> parse_export_record(std::string_view text) {
  const Json json = parse_json(text);
  Members members(json);
  ExportRecord record;
  record.state = members.choice("state", kExportStates);
  record.message = members.text("message", 65536);
  record.lines_before = members.number<std::uint64_t>("lines_before");
  record.lines = texts_in(members, "lines", kTextsMax);
  record.report.tables = members.number<std::uint64_t>("tables");
  record.report.inserted = members.number<std::uint64_t>("inserted");
  record.report.updated = members.number<std::uint64_t>("updated");
  record.report.deleted = members.number<std::uint64_t>("deleted");
  if (json.contains("large_objects")) {
    record.report.large_objects.written = members.number<std::uint64_t>("large_objects");
    record.report.large_objects.deleted = members.number<std::uint64_t>("large_objects_deleted");
  }
  record.report.problems = texts_in(members, "problems", kTextsMax);
  if (json.contains("left_out")) record.report.left_out = texts_in(members, "left_out", kTextsMax);
  for (const auto& row : members.array("files", kFilesMax)) {
    Members inner(row);
    ExportedFile file{inner.text("name"), inner.number<std::uint64_t>("bytes")};
    if (!is_safe_file_name(file.name)) inner.complain("a file's name leads elsewhere");
    if (!inner.problem().empty()) members.complain(inner.problem());
    record.files.push_back(std::move(file));
  }
  return checked(members, std::move(record), "record of an export");
}

}  // namespace pgkeel
