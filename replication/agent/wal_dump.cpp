#include "replication/agent/wal_dump.h"

#include <algorithm>
#include <charconv>
#include <utility>

#include "replication/agent/oids.h"

namespace pgkeel {
namespace {

constexpr std::string_view kRecordBegin = "rmgr: ";
constexpr std::string_view kBlockMark = ", blkref #";
constexpr std::size_t kHeld = 256;
// What is needed of the longest records (commits with many subtransactions) stands at their begin.
constexpr std::size_t kLineBytesMax = std::size_t{4} << 20;
constexpr std::uint32_t kDeleteTakesInsertBack = 0x08;
constexpr std::uint32_t kDeleteMovesRow = 0x10;

// Reads a text from its begin on; what does not fit fails, and stays failed.
class Scanner {
 public:
  explicit Scanner(std::string_view text) : rest_(text) {}

  void skip_spaces() { rest_.remove_prefix(std::min(rest_.find_first_not_of(' '), rest_.size())); }
  bool literal(std::string_view text) {
    if (!rest_.starts_with(text)) return fail();
    rest_.remove_prefix(text.size());
    return true;
  }
  std::string_view word() {
    const auto found = rest_.substr(0, rest_.find(' '));
    rest_.remove_prefix(found.size());
    if (found.empty()) fail();
    return found;
  }
  std::uint32_t number(int base = 10) {
    std::uint32_t value = 0;
    const auto [end, code] = std::from_chars(rest_.data(), rest_.data() + rest_.size(), value, base);
    if (code != std::errc{}) fail();
    rest_.remove_prefix(static_cast<std::size_t>(end - rest_.data()));
    return value;
  }
  Lsn lsn() {
    const auto end = std::min(rest_.find_first_not_of("0123456789ABCDEFabcdef/"), rest_.size());
    const auto value = parse_lsn(rest_.substr(0, end));
    rest_.remove_prefix(end);
    if (!value) fail();
    return value.value_or(Lsn{});
  }
  [[nodiscard]] bool good() const { return good_; }
  [[nodiscard]] std::string_view rest() const { return rest_; }

 private:
  bool fail() {
    good_ = false;
    return false;
  }

  std::string_view rest_;
  bool good_ = true;
};

std::vector<std::string_view> split(std::string_view text, std::string_view separator) {
  std::vector<std::string_view> parts;
  while (true) {
    const auto end = text.find(separator);
    parts.push_back(text.substr(0, end));
    if (end == std::string_view::npos) return parts;
    text.remove_prefix(end + separator.size());
  }
}

std::optional<std::uint32_t> whole_number(std::string_view text, int base = 10) {
  std::uint32_t value = 0;
  const auto [end, code] = std::from_chars(text.data(), text.data() + text.size(), value, base);
  if (text.empty() || code != std::errc{} || end != text.data() + text.size()) return std::nullopt;
  return value;
}

// The number after `name` ("off 3", "off: 3"); `prefix` stands between.
std::optional<std::uint32_t> number_after(std::string_view text, std::string_view name, int base = 10,
                                          std::string_view prefix = {}) {
  const auto found = text.find(name);
  if (found == std::string_view::npos) return std::nullopt;
  text.remove_prefix(found + name.size());
  if (text.starts_with(':')) text.remove_prefix(1);
  Scanner scanner(text);
  scanner.skip_spaces();
  scanner.literal(prefix);
  const auto value = scanner.number(base);
  return scanner.good() ? std::optional(value) : std::nullopt;
}

// "base/5/16384", "global/1262", "pg_tblspc/16400/PG_15_202209061/5/16384"; forks other than the main one are none.
std::optional<RelationFile> parse_path(std::string_view path) {
  const auto parts = split(path, "/");
  const auto number = whole_number(parts.back());
  if (!number) return std::nullopt;
  if (parts.size() == 2 && parts[0] == "global") return RelationFile{kGlobalTablespace, 0, *number};
  const auto database = parts.size() < 3 ? std::nullopt : whole_number(parts[parts.size() - 2]);
  if (!database) return std::nullopt;
  if (parts.size() == 3 && parts[0] == "base") return RelationFile{kDefaultTablespace, *database, *number};
  const auto tablespace = parts.size() == 5 && parts[0] == "pg_tblspc" ? whole_number(parts[1]) : std::nullopt;
  if (!tablespace) return std::nullopt;
  return RelationFile{*tablespace, *database, *number};
}

// " #0: rel 1663/5/16384 fork vm blk 0 FPW" without the mark before the number.
std::optional<WalBlock> parse_block(std::string_view text) {
  Scanner scanner(text);
  scanner.number();
  scanner.literal(": rel ");
  WalBlock block;
  block.file.tablespace = scanner.number();
  scanner.literal("/");
  block.file.database = scanner.number();
  scanner.literal("/");
  block.file.number = scanner.number();
  scanner.literal(" blk ");  // fails where another fork is named
  block.block = scanner.number();
  return scanner.good() ? std::optional(block) : std::nullopt;
}

std::string_view operation_name(std::string_view description) {
  return description.substr(0, description.find_first_of(" +"));
}

void read_heap(std::string_view description, WalDumpRecord& record) {
  const auto name = operation_name(description);
  if (name == "INSERT") {
    record.operation = WalOperation::kInsert;
    record.rows = 1;
  } else if (name == "MULTI_INSERT") {
    record.operation = WalOperation::kInsert;
    Scanner scanner(description.substr(std::min(description.find(' '), description.size())));
    scanner.skip_spaces();
    const auto leading = scanner.number();  // "3 tuples flags 0x02"; later: "ntuples: 3, flags: 0x02"
    record.rows = scanner.good() ? leading : number_after(description, "ntuples").value_or(0);
  } else if (name == "UPDATE" || name == "HOT_UPDATE") {
    record.operation = WalOperation::kUpdate;
    record.rows = 1;
  } else if (name == "DELETE") {
    record.operation = WalOperation::kDelete;
    record.rows = 1;
    const auto flags = number_after(description, "flags", 16, "0x").value_or(0);
    record.takes_insert_back = (flags & kDeleteTakesInsertBack) != 0;
    record.moves_row = (flags & kDeleteMovesRow) != 0;
  } else if (name == "TRUNCATE") {
    record.operation = WalOperation::kTruncate;
  }
}

// What follows the time of a transaction's end: "; rels: …; subxacts: 734 735; inval msgs: …".
void read_sections(const std::vector<std::string_view>& sections, WalDumpRecord& record) {
  for (const auto section : sections) {
    const auto colon = section.find(": ");
    if (colon == std::string_view::npos) continue;
    const auto name = section.substr(0, colon);
    const auto words = split(section.substr(colon + 2), " ");
    if (name == "rels") {
      for (const auto word : words) {
        if (const auto file = parse_path(word)) record.files.push_back(*file);
      }
    } else if (name == "subxacts") {
      for (const auto word : words) {
        if (const auto xid = whole_number(word)) record.subtransactions.push_back(*xid);
      }
    } else if (name == "inval msgs") {
      record.changes_catalog = true;
    }
  }
}

// "2026-11-25 22:35:12.827234 UTC; subxacts: 734 735", after "737: " where it was prepared.
bool read_end_of_transaction(std::string_view text, bool was_prepared, WalDumpRecord& record) {
  if (was_prepared) {
    Scanner scanner(text);
    record.xid = scanner.number();
    scanner.literal(": ");
    if (!scanner.good()) return false;
    text = scanner.rest();
  }
  auto sections = split(text, "; ");
  record.time = sections.front();
  sections.erase(sections.begin());
  read_sections(sections, record);
  return true;
}

// "gid NAME: TIME; rels(commit): …; subxacts: …". The name may hold anything, so that this is read from its end.
void read_prepare(std::string_view text, WalDumpRecord& record) {
  if (!text.starts_with("gid ")) return;
  text.remove_prefix(4);
  const auto colon = text.rfind(": 2");  // of a year: what comes after the time has no such word
  if (colon == std::string_view::npos) {
    record.gid = text;  // its line was cut by a newline in the name
    return;
  }
  record.gid = text.substr(0, colon);
  auto sections = split(text.substr(colon + 2), "; ");
  record.time = sections.front();
  sections.erase(sections.begin());
  read_sections(sections, record);
}

bool read_transaction(std::string_view description, WalDumpRecord& record) {
  const auto space = std::min(description.find(' '), description.size());
  const auto name = description.substr(0, space);
  const auto text = description.substr(std::min(space + 1, description.size()));
  struct Row {
    std::string_view name;
    WalOperation operation;
  };
  constexpr Row kRows[] = {{"COMMIT", WalOperation::kCommit},
                           {"ABORT", WalOperation::kAbort},
                           {"COMMIT_PREPARED", WalOperation::kCommitPrepared},
                           {"ABORT_PREPARED", WalOperation::kAbortPrepared},
                           {"PREPARE", WalOperation::kPrepare}};
  const auto* row = std::ranges::find(kRows, name, &Row::name);
  if (row == std::end(kRows)) return true;
  record.operation = row->operation;
  if (row->operation == WalOperation::kPrepare) {
    read_prepare(text, record);
    return true;
  }
  const bool was_prepared =
      row->operation == WalOperation::kCommitPrepared || row->operation == WalOperation::kAbortPrepared;
  return read_end_of_transaction(text, was_prepared, record);
}

void read_database(std::string_view description, WalDumpRecord& record) {
  const auto name = operation_name(description);
  const auto database = whole_number(description.substr(description.find_last_of("/ ") + 1));
  if (!database) return;
  record.operation = name.starts_with("DROP") ? WalOperation::kDropDatabase : WalOperation::kCreateDatabase;
  record.database = *database;
}

bool read_description(std::string_view manager, std::string_view description, WalDumpRecord& record) {
  if (manager == "Heap" || manager == "Heap2") {
    read_heap(description, record);
  } else if (manager == "Transaction") {
    return read_transaction(description, record);
  } else if (manager == "Storage" && description.starts_with("CREATE ")) {
    const auto file = parse_path(description.substr(description.find(' ') + 1));
    if (!file) return true;  // another fork
    record.operation = WalOperation::kCreateFile;
    record.files.push_back(*file);
  } else if (manager == "XLOG" && operation_name(description) == "FPI") {
    record.operation = WalOperation::kPageImage;
  } else if (manager == "XLOG" && description.starts_with("CHECKPOINT_SHUTDOWN ")) {
    const auto xid = description.find("; xid ");  // "; xid 0:735;"
    const auto next = xid == std::string_view::npos ? std::nullopt : number_after(description.substr(xid + 5), ":");
    if (!next) return true;
    record.operation = WalOperation::kRunningTransactions;  // none
    record.next_xid = *next;
  } else if (manager == "Sequence") {
    record.operation = WalOperation::kSequence;
  } else if (manager == "Database") {
    read_database(description, record);
  } else if (manager == "RelMap") {
    record.operation = WalOperation::kRelationMap;
  } else if (manager == "Standby" && description.starts_with("RUNNING_XACTS ")) {
    const auto next = number_after(description, "nextXid");
    if (!next) return true;
    record.operation = WalOperation::kRunningTransactions;
    record.next_xid = *next;
  }
  return true;
}

}  // namespace

std::string format_relation_file(const RelationFile& file) {
  return std::to_string(file.tablespace) + "/" + std::to_string(file.database) + "/" + std::to_string(file.number);
}

std::optional<WalDumpRecord> parse_wal_dump_line(std::string_view line) {
  if (line.ends_with('\r')) line.remove_suffix(1);
  Scanner scanner(line);
  if (!scanner.literal(kRecordBegin)) return std::nullopt;
  const auto manager = scanner.word();
  scanner.skip_spaces();
  scanner.literal("len (rec/tot):");
  scanner.skip_spaces();
  scanner.number();
  scanner.literal("/");
  scanner.skip_spaces();
  scanner.number();
  scanner.literal(", tx:");
  scanner.skip_spaces();
  WalDumpRecord record;
  record.xid = scanner.number();
  scanner.literal(", lsn: ");
  record.lsn = scanner.lsn();
  scanner.literal(", prev ");
  record.previous = scanner.lsn();
  scanner.literal(", desc: ");
  if (!scanner.good() || !record.lsn.valid()) return std::nullopt;

  auto description = scanner.rest();
  // The descriptions of these hold what users wrote, and they refer to no block.
  if (manager != "Transaction" && manager != "LogicalMessage") {
    const auto mark = description.find(kBlockMark);
    if (mark != std::string_view::npos) {
      for (const auto text : split(description.substr(mark + kBlockMark.size()), kBlockMark)) {
        if (const auto block = parse_block(text)) record.blocks.push_back(*block);
      }
      description = description.substr(0, mark);
    }
  }
  if (!read_description(manager, description, record)) return std::nullopt;
  return record;
}

WalDumpReader::WalDumpReader(std::function<void(const WalDumpRecord&)> use) : use_(std::move(use)) {}

void WalDumpReader::feed(std::string_view text) {
  while (!text.empty()) {
    const auto newline = text.find('\n');
    const auto part = text.substr(0, newline);
    if (line_.size() < kLineBytesMax) line_.append(part.substr(0, kLineBytesMax - line_.size()));
    if (newline == std::string_view::npos) return;
    take_line();
    text.remove_prefix(newline + 1);
  }
}

void WalDumpReader::finish() {
  take_line();
  hand_on(0);
}

void WalDumpReader::take_line() {
  if (auto record = parse_wal_dump_line(line_)) take(std::move(*record));
  line_.clear();
}

void WalDumpReader::take(WalDumpRecord record) {
  if (!held_.empty() && held_.back().lsn != record.previous) {
    const auto real =
        std::find_if(held_.rbegin(), held_.rend(), [&](const auto& held) { return held.lsn == record.previous; });
    if (real != held_.rend()) {
      disbelieved_ += static_cast<std::uint64_t>(real - held_.rbegin());
      held_.erase(real.base(), held_.end());
    } else if (record.previous > held_.back().lsn && record.lsn > record.previous) {
      ++gaps_;
    } else {
      ++disbelieved_;
      return;
    }
  }
  held_.push_back(std::move(record));
  hand_on(kHeld);
}

void WalDumpReader::hand_on(std::size_t keep) {
  while (held_.size() > keep) {
    ++records_;
    use_(held_.front());
    held_.pop_front();
  }
}

}  // namespace pgkeel
