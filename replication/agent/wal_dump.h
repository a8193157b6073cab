// What pg_waldump prints, as values: one record of the write-ahead log a line, as PostgreSQL 13 to 17 write them. Pure;
// every text is checked before it is believed, for names that users choose (gids, message prefixes, restore points)
// stand in it unquoted, newlines and all. Any thread; one reader by one thread.
#pragma once

#include <compare>
#include <cstddef>
#include <cstdint>
#include <deque>
#include <functional>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "proxy/base/lsn.h"

namespace pgkeel {

// A file of a relation, as the log names it. Not its oid: TRUNCATE, VACUUM FULL and others give it a new one.
struct RelationFile {
  std::uint32_t tablespace = 0;
  std::uint32_t database = 0;  // 0: shared by all
  std::uint32_t number = 0;

  friend auto operator<=>(const RelationFile&, const RelationFile&) = default;
};

std::string format_relation_file(const RelationFile& file);  // "1663/5/16384"

struct WalBlock {
  RelationFile file;
  std::uint32_t block = 0;  // of its main fork
};

enum class WalOperation {
  kOther,
  kInsert,  // also many rows at once
  kUpdate,
  kDelete,
  kTruncate,   // said only with wal_level = logical; else it is a new file and an old one dropped
  kPageImage,  // of a relation that is written anew, without a record for each row
  kCreateFile,
  kSequence,
  kCreateDatabase,
  kDropDatabase,
  kRelationMap,
  kRunningTransactions,
  kCommit,
  kAbort,
  kPrepare,
  kCommitPrepared,
  kAbortPrepared,
};

struct WalDumpRecord {
  Lsn lsn;
  Lsn previous;  // the record before
  std::uint32_t xid = 0;
  WalOperation operation = WalOperation::kOther;
  std::vector<WalBlock> blocks;

  std::uint32_t rows = 0;           // kInsert, kUpdate, kDelete
  bool takes_insert_back = false;   // kDelete: of a row that ON CONFLICT had put there too early
  bool moves_row = false;           // kDelete: an UPDATE that moves the row to another partition
  std::vector<RelationFile> files;  // kCreateFile: made; kCommit …: dropped
  std::uint32_t database = 0;       // kCreateDatabase, kDropDatabase
  std::uint32_t next_xid = 0;       // kRunningTransactions

  // The ends of transactions; for kCommitPrepared and kAbortPrepared `xid` is that of the prepared transaction.
  std::string time;  // "2026-11-25 22:35:12.827234 UTC"
  std::string gid;   // kPrepare
  std::vector<std::uint32_t> subtransactions;
  bool changes_catalog = false;  // others must forget what they had cached of the catalog
};

// One line. Nothing where it is none.
std::optional<WalDumpRecord> parse_wal_dump_line(std::string_view line);

// Cuts pg_waldump's output into records. They are chained, each names the one before it: lines that a user's text put
// there fall out as soon as the next real record passes them over.
class WalDumpReader {
 public:
  explicit WalDumpReader(std::function<void(const WalDumpRecord&)> use);

  void feed(std::string_view text);
  void finish();  // there is no more

  [[nodiscard]] std::uint64_t records() const { return records_; }
  [[nodiscard]] std::uint64_t disbelieved() const { return disbelieved_; }  // records that were no records
  [[nodiscard]] std::uint64_t gaps() const { return gaps_; }                // where the record before could not be read

 private:
  void take_line();
  void take(WalDumpRecord record);
  void hand_on(std::size_t keep);

  std::function<void(const WalDumpRecord&)> use_;
  std::string line_;
  std::deque<WalDumpRecord> held_;  // the newest: what follows decides whether they are believed
  std::uint64_t records_ = 0;
  std::uint64_t disbelieved_ = 0;
  std::uint64_t gaps_ = 0;
};

}  // namespace pgkeel
