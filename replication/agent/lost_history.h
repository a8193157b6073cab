// What a diverged node did beyond the place where its history parted from the cluster's: which transactions it
// committed, and what each of them wrote; told apart from what it had only prepared or begun. Pure: made from the
// records of its log in their order. One thread.
#pragma once

#include <cstdint>
#include <map>
#include <optional>
#include <set>
#include <string>
#include <unordered_map>
#include <vector>

#include "proxy/base/lsn.h"
#include "replication/agent/wal_dump.h"

namespace pgkeel {

struct RowCounts {
  std::uint64_t inserted = 0;
  std::uint64_t updated = 0;
  std::uint64_t deleted = 0;

  [[nodiscard]] bool any() const { return inserted + updated + deleted > 0; }
  RowCounts& operator+=(const RowCounts& other) {
    inserted += other.inserted;
    updated += other.updated;
    deleted += other.deleted;
    return *this;
  }
};

// What one transaction wrote, its subtransactions included.
struct WrittenWork {
  std::map<RelationFile, RowCounts> rows;
  std::set<RelationFile> created;  // files
  std::set<RelationFile> filled;   // of these, those that rows or pages were written to
  std::set<RelationFile> dropped;  // files
  std::set<RelationFile> sequences;
  std::set<std::uint32_t> created_databases;
  std::set<std::uint32_t> dropped_databases;
  bool changed_catalog = false;
  bool after_fork = false;  // something of it is beyond the fork

  void merge(WrittenWork&& other);
};

struct LostTransaction {
  std::uint32_t xid = 0;
  std::vector<std::uint32_t> subtransactions;
  std::string time;                   // of its commit, or of its PREPARE TRANSACTION; empty: neither
  Lsn lsn;                            // of that record
  std::string gid;                    // it was prepared
  bool prepared_before_fork = false;  // the cluster has it, prepared; only its commit is lost
  WrittenWork work;
};

struct LostHistory {
  std::vector<LostTransaction> committed;  // in the order of their commits
  std::vector<LostTransaction> prepared;   // beyond the fork, and neither committed nor rolled back
  std::vector<LostTransaction> in_flight;  // had written beyond the fork when the log ended
  std::uint64_t rolled_back = 0;

  // The pages that they touched, ascending; a superset: other transactions may be among them.
  std::map<RelationFile, std::vector<std::uint32_t>> touched_blocks;

  // A committed one may have begun before the first record that was read: what it wrote there is not counted.
  bool may_begin_earlier = false;
};

class LostHistoryReader {
 public:
  explicit LostHistoryReader(Lsn fork) : fork_(fork) {}

  void add(const WalDumpRecord& record);
  LostHistory finish();

 private:
  void add_write(const WalDumpRecord& record);
  void touch(const WalDumpRecord& record);
  void end_transaction(const WalDumpRecord& record);
  WrittenWork take_work(std::uint32_t xid, const std::vector<std::uint32_t>& subtransactions);

  Lsn fork_;
  LostHistory history_;
  std::unordered_map<std::uint32_t, WrittenWork> open_;  // by xid, also of subtransactions
  std::map<std::uint32_t, LostTransaction> prepared_;    // by xid
  std::optional<std::uint32_t> next_xid_at_begin_;       // no xid from here on was there before what was read
};

}  // namespace pgkeel
