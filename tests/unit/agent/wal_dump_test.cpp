#include "replication/agent/wal_dump.h"

#include <fstream>
#include <iterator>
#include <random>

#include <doctest/doctest.h>

#include "replication/agent/lost_history.h"

using namespace pgkeel;

namespace {

std::string captured() {
  std::ifstream file(PGKEEL_CAPTURED_FOLDER "/pg_waldump_15.txt");
  return {std::istreambuf_iterator<char>(file), {}};
}

std::vector<WalDumpRecord> read_all(const std::string& text, std::size_t piece) {
  std::vector<WalDumpRecord> records;
  WalDumpReader reader([&](const WalDumpRecord& record) { records.push_back(record); });
  for (std::size_t begin = 0; begin < text.size(); begin += piece)
    reader.feed(std::string_view(text).substr(begin, piece));
  reader.finish();
  return records;
}

// A line as pg_waldump writes it.
std::string line(std::uint64_t lsn, std::uint64_t previous, std::uint32_t xid, const std::string& manager,
                 const std::string& description) {
  return "rmgr: " + manager + " len (rec/tot):     54/    54, tx:        " + std::to_string(xid) +
         ", lsn: " + format_lsn(Lsn{lsn}) + ", prev " + format_lsn(Lsn{previous}) + ", desc: " + description;
}

WalDumpRecord parsed(const std::string& manager, const std::string& description) {
  const auto record = parse_wal_dump_line(line(100, 50, 7, manager, description));
  REQUIRE(record);
  return *record;
}

LostHistory history_of(const std::vector<std::string>& lines, Lsn fork) {
  LostHistoryReader history(fork);
  WalDumpReader reader([&](const WalDumpRecord& record) { history.add(record); });
  for (const auto& text : lines) reader.feed(text + "\n");
  reader.finish();
  return history.finish();
}

constexpr RelationFile kTable{1663, 5, 16384};

}  // namespace

TEST_CASE("what PostgreSQL 15 printed is read, in whatever pieces it comes") {
  const auto text = captured();
  const auto records = read_all(text, text.size());
  REQUIRE(records.size() > 20);
  CHECK(records.front().operation == WalOperation::kInsert);
  CHECK(records.front().xid == 725);
  CHECK(format_lsn(records.front().lsn) == "0/1541A18");
  REQUIRE(records.front().blocks.size() == 1);
  CHECK(records.front().blocks[0].file == kTable);
  for (const std::size_t piece : {1UL, 7UL, 64UL, 4096UL}) {
    const auto again = read_all(text, piece);
    REQUIRE(again.size() == records.size());
    for (std::size_t index = 0; index < records.size(); ++index) {
      CHECK(again[index].lsn == records[index].lsn);
      CHECK(again[index].operation == records[index].operation);
    }
  }
}

TEST_CASE("its transactions are told apart: committed, rolled back, prepared, with their subtransactions") {
  LostHistoryReader reader(Lsn{0});
  for (const auto& record : read_all(captured(), 1000)) reader.add(record);
  const auto history = reader.finish();
  std::vector<std::uint32_t> committed;
  for (const auto& transaction : history.committed) committed.push_back(transaction.xid);
  CHECK(committed == std::vector<std::uint32_t>{725, 726, 727, 728, 729, 730, 731, 732, 737});
  CHECK(history.committed[7].subtransactions == std::vector<std::uint32_t>{734, 735});
  CHECK(history.committed[7].work.rows.at(kTable).inserted == 2);  // 733 was rolled back
  CHECK(history.committed[6].work.rows.at(kTable).inserted == 3);  // COPY
  CHECK(history.committed[8].gid == "my gid");
  REQUIRE(history.prepared.size() == 1);
  CHECK(history.prepared[0].xid == 738);
}

TEST_CASE("the descriptions of other versions are understood") {
  CHECK(parsed("Heap", "INSERT off: 2, flags: 0x00").rows == 1);
  CHECK(parsed("Heap", "INSERT+INIT off 1 flags 0x00").operation == WalOperation::kInsert);
  CHECK(parsed("Heap2", "MULTI_INSERT ntuples: 3, flags: 0x02, offsets: [1, 2, 3]").rows == 3);
  CHECK(parsed("Heap2", "MULTI_INSERT+INIT 185 tuples flags 0x00").rows == 185);
  const auto undone = parsed("Heap", "DELETE xmax: 735, off: 1, infobits: [KEYS_UPDATED], flags: 0x08");
  CHECK(undone.operation == WalOperation::kDelete);
  CHECK(undone.takes_insert_back);
  CHECK(parsed("Heap", "DELETE off 1 flags 0x10 KEYS_UPDATED ").moves_row);
  CHECK(parsed("Heap", "HOT_UPDATE old_xmax: 726, old_off: 1, old_infobits: [], flags: 0x20, new_xmax: 0, new_off: 22")
            .operation == WalOperation::kUpdate);
  CHECK(parsed("Heap", "LOCK off 21: xid 729: flags 0x00 LOCK_ONLY EXCL_LOCK ").operation == WalOperation::kOther);
  CHECK(parsed("Storage", "CREATE base/5/16402_vm").operation == WalOperation::kOther);
  const auto dropped = parsed("Transaction",
                              "COMMIT 2026-11-25 22:35:13.767590 UTC; rels: base/5/16391 "
                              "pg_tblspc/16400/PG_15_202209061/5/16500 global/1262; dropped stats: "
                              "2/5/16391; inval msgs: catcache 80");
  CHECK(dropped.files == std::vector<RelationFile>{{1663, 5, 16391}, {16400, 5, 16500}, {1664, 0, 1262}});
  CHECK(dropped.changes_catalog);
  CHECK(dropped.time == "2026-11-25 22:35:13.767590 UTC");
  CHECK(parsed("Standby", "RUNNING_XACTS nextXid 754 latestCompletedXid 753 oldestRunningXid 738; 1 xacts: 738")
            .next_xid == 754);
  CHECK(
      parsed("XLOG", "CHECKPOINT_SHUTDOWN redo 0/2000090; tli 1; prev tli 1; fpw true; xid 0:754; oid 24576; shutdown")
          .next_xid == 754);
  CHECK(parsed("Database", "CREATE_WAL_LOG create dir 1663/16417").database == 16417);
}

TEST_CASE("a prepared transaction's name is no record, whatever it looks like") {
  const std::vector<std::string> lines = {
      line(100, 50, 7, "Heap", "INSERT off 1 flags 0x00, blkref #0: rel 1663/5/16384 blk 0"),
      line(200, 100, 7, "Transaction", "PREPARE gid x"),
      line(264, 200, 8, "Transaction", "COMMIT 2026-01-01 00:00:00 UTC"),  // part of the name, well guessed
      "and more of it: 2026-11-25 22:35:13.7 UTC",
      line(264, 200, 9, "Heap", "INSERT off 2 flags 0x00, blkref #0: rel 1663/5/16384 blk 1"),
      line(300, 264, 9, "Transaction", "COMMIT 2026-11-25 22:36:00 UTC")};
  const auto history = history_of(lines, Lsn{1});
  REQUIRE(history.committed.size() == 1);
  CHECK(history.committed[0].xid == 9);
  CHECK(history.prepared.size() == 1);
}

TEST_CASE("after a line that is no record it goes on, and says so") {
  std::vector<std::uint32_t> xids;
  WalDumpReader reader([&](const WalDumpRecord& record) { xids.push_back(record.xid); });
  reader.feed(line(100, 50, 7, "Heap", "INSERT off 1") + "\nrmgr: New format lsn: 0/C8, prev 0/64\n");
  reader.feed(line(300, 200, 8, "Heap", "INSERT off 1") + "\n" + line(400, 300, 9, "Heap", "INSERT off 1"));
  reader.finish();
  CHECK(xids == std::vector<std::uint32_t>{7, 8, 9});
  CHECK(reader.gaps() == 1);
  CHECK(reader.disbelieved() == 0);
}

TEST_CASE("only what is committed beyond the fork is lost, with what it wrote before") {
  const std::vector<std::string> lines = {
      line(100, 50, 0, "Standby", "RUNNING_XACTS nextXid 7 latestCompletedXid 6 oldestRunningXid 7"),
      line(200, 100, 7, "Heap", "INSERT off 1 flags 0x00, blkref #0: rel 1663/5/16384 blk 3"),
      line(300, 200, 8, "Heap", "INSERT off 2 flags 0x00, blkref #0: rel 1663/5/16384 blk 4"),
      line(400, 300, 8, "Transaction", "COMMIT 2026-11-25 22:36:00 UTC"),
      line(500, 400, 7, "Heap", "DELETE off 3 flags 0x00, blkref #0: rel 1663/5/16384 blk 3"),
      line(600, 500, 7, "Transaction", "COMMIT 2026-11-25 22:36:01 UTC"),
      line(700, 600, 9, "Heap", "INSERT off 5 flags 0x00, blkref #0: rel 1663/5/16384 blk 5")};
  const auto history = history_of(lines, Lsn{450});
  REQUIRE(history.committed.size() == 1);
  CHECK(history.committed[0].xid == 7);
  CHECK(history.committed[0].work.rows.at(kTable).inserted == 1);
  CHECK(history.committed[0].work.rows.at(kTable).deleted == 1);
  REQUIRE(history.in_flight.size() == 1);
  CHECK(history.in_flight[0].xid == 9);
  CHECK_FALSE(history.may_begin_earlier);
  CHECK(history_of({lines.begin() + 1, lines.end()}, Lsn{450}).may_begin_earlier);
  CHECK(history.touched_blocks.at(kTable) == std::vector<std::uint32_t>{3, 4, 5});
}

TEST_CASE("damaged lines are no records and harm nothing") {
  std::mt19937 random(1);
  const auto text = captured();
  for (int round = 0; round < 300; ++round) {
    auto damaged = text;
    for (int change = 0; change < 40; ++change) {
      damaged[random() % damaged.size()] = static_cast<char>(random() % 256);
    }
    LostHistoryReader history(Lsn{0});
    for (const auto& record : read_all(damaged, 1 + random() % 500)) history.add(record);
    CHECK(history.finish().committed.size() <= 9);
  }
}
