#include "replication/agent/lost_history.h"

#include <algorithm>
#include <utility>

namespace pgkeel {
namespace {

// xids go round: which of two is older is told by their distance.
bool is_older(std::uint32_t xid, std::uint32_t than) {
  return static_cast<std::int32_t>(xid - than) < 0;
}

}  // namespace

void WrittenWork::merge(WrittenWork&& other) {
  for (const auto& [file, counts] : other.rows) rows[file] += counts;
  created.merge(other.created);
  filled.merge(other.filled);
  dropped.merge(other.dropped);
  sequences.merge(other.sequences);
  created_databases.merge(other.created_databases);
  dropped_databases.merge(other.dropped_databases);
  changed_catalog = changed_catalog || other.changed_catalog;
  after_fork = after_fork || other.after_fork;
}

void LostHistoryReader::add(const WalDumpRecord& record) {
  switch (record.operation) {
    case WalOperation::kOther:
      break;
    case WalOperation::kRunningTransactions:
      if (!next_xid_at_begin_) next_xid_at_begin_ = record.next_xid;
      break;
    case WalOperation::kCommit:
    case WalOperation::kCommitPrepared:
    case WalOperation::kAbort:
    case WalOperation::kAbortPrepared:
    case WalOperation::kPrepare:
      end_transaction(record);
      break;
    default:
      add_write(record);
      break;
  }
}

void LostHistoryReader::add_write(const WalDumpRecord& record) {
  if (record.xid == 0) return;
  auto& work = open_[record.xid];
  if (record.lsn >= fork_) work.after_fork = true;
  const auto* file = record.blocks.empty() ? nullptr : &record.blocks.front().file;
  switch (record.operation) {
    case WalOperation::kInsert:
      if (file != nullptr) work.rows[*file].inserted += record.rows;
      touch(record);
      break;
    case WalOperation::kUpdate:
      if (file != nullptr) work.rows[*file].updated += record.rows;
      touch(record);
      break;
    case WalOperation::kDelete:
      if (file == nullptr) break;
      if (record.takes_insert_back) {
        auto& inserted = work.rows[*file].inserted;
        if (inserted > 0) --inserted;
      } else {
        work.rows[*file].deleted += record.rows;
      }
      touch(record);
      break;
    case WalOperation::kPageImage:
      touch(record);
      break;
    case WalOperation::kCreateFile:
      work.created.insert(record.files.begin(), record.files.end());
      break;
    case WalOperation::kSequence:
      if (file != nullptr) work.sequences.insert(*file);
      break;
    case WalOperation::kCreateDatabase:
      work.created_databases.insert(record.database);
      break;
    case WalOperation::kDropDatabase:
      work.dropped_databases.insert(record.database);
      break;
    case WalOperation::kRelationMap:
      work.changed_catalog = true;
      break;
    default:
      break;
  }
  const bool fills = record.operation == WalOperation::kInsert || record.operation == WalOperation::kPageImage;
  if (fills && file != nullptr && work.created.contains(*file)) work.filled.insert(*file);
}

void LostHistoryReader::touch(const WalDumpRecord& record) {
  for (const auto& block : record.blocks) {
    auto& blocks = history_.touched_blocks[block.file];
    if (blocks.empty() || blocks.back() != block.block) blocks.push_back(block.block);
  }
}

WrittenWork LostHistoryReader::take_work(std::uint32_t xid, const std::vector<std::uint32_t>& subtransactions) {
  WrittenWork work;
  const auto take = [&](std::uint32_t number) {
    const auto found = open_.find(number);
    if (found == open_.end()) return;
    work.merge(std::move(found->second));
    open_.erase(found);
  };
  take(xid);
  for (const auto number : subtransactions) take(number);
  return work;
}

void LostHistoryReader::end_transaction(const WalDumpRecord& record) {
  LostTransaction transaction;
  if (const auto found = prepared_.find(record.xid); found != prepared_.end()) {
    transaction = std::move(found->second);
    prepared_.erase(found);
  }
  transaction.xid = record.xid;
  transaction.time = record.time;
  transaction.lsn = record.lsn;
  for (const auto xid : record.subtransactions) transaction.subtransactions.push_back(xid);
  std::ranges::sort(transaction.subtransactions);
  const auto repeated = std::ranges::unique(transaction.subtransactions);
  transaction.subtransactions.erase(repeated.begin(), repeated.end());

  // A prepared transaction keeps its work until it is known what becomes of it.
  transaction.work.merge(take_work(record.xid, transaction.subtransactions));
  transaction.work.dropped.insert(record.files.begin(), record.files.end());
  transaction.work.changed_catalog = transaction.work.changed_catalog || record.changes_catalog;
  const bool after_fork = record.lsn >= fork_;
  transaction.work.after_fork = transaction.work.after_fork || after_fork;
  switch (record.operation) {
    case WalOperation::kPrepare:
      transaction.gid = record.gid;
      transaction.prepared_before_fork = !after_fork;
      prepared_.emplace(record.xid, std::move(transaction));
      break;
    case WalOperation::kCommit:
    case WalOperation::kCommitPrepared:
      // Prepared before the first record that was read: then before the fork too.
      if (record.operation == WalOperation::kCommitPrepared && transaction.gid.empty()) {
        transaction.prepared_before_fork = true;
      }
      if (after_fork) history_.committed.push_back(std::move(transaction));
      break;
    default:
      if (after_fork) ++history_.rolled_back;
      break;
  }
}

LostHistory LostHistoryReader::finish() {
  for (auto& [xid, transaction] : prepared_) {
    if (!transaction.prepared_before_fork) history_.prepared.push_back(std::move(transaction));
  }
  for (auto& [xid, work] : open_) {
    if (!work.after_fork) continue;
    LostTransaction transaction;
    transaction.xid = xid;
    transaction.work = std::move(work);
    history_.in_flight.push_back(std::move(transaction));
  }
  std::ranges::sort(history_.in_flight, {}, &LostTransaction::xid);
  for (auto& [file, blocks] : history_.touched_blocks) {
    std::ranges::sort(blocks);
    const auto repeated = std::ranges::unique(blocks);
    blocks.erase(repeated.begin(), repeated.end());
  }
  const auto may_be_older = [&](std::uint32_t xid) {
    return !next_xid_at_begin_ || is_older(xid, *next_xid_at_begin_);
  };
  history_.may_begin_earlier = std::ranges::any_of(history_.committed, [&](const LostTransaction& transaction) {
    return may_be_older(transaction.xid) || std::ranges::any_of(transaction.subtransactions, may_be_older);
  });
  return std::move(history_);
}

}  // namespace pgkeel
