#include "replication/agent/lost_rows.h"

#include <doctest/doctest.h>

#include "replication/agent/lost_export_text.h"
#include "replication/agent/quarantine_age.h"
#include "replication/agent/quarantine_bound.h"

using namespace pgkeel;

namespace {

// xids from 100 on are lost.
const TransactionSet kLost = {100, 101, 102};

HeapTuple version(std::uint16_t offset, std::uint32_t xmin, std::uint32_t xmax, std::uint16_t next,
                  bool is_update = false) {
  HeapTuple tuple;
  tuple.offset = offset;
  tuple.xmin = xmin;
  tuple.xmax = xmax;
  tuple.xmax_invalid = xmax == 0;
  tuple.next = {0, next};
  tuple.is_update = is_update;
  return tuple;
}

LostRows rows_of(const std::vector<HeapTuple>& tuples) {
  LostRowFinder finder(kLost, [](std::uint32_t multixact) { return multixact == 9000 ? 101U : 0U; });
  finder.add_page(0, tuples);
  return finder.find();
}

using Places = std::vector<RowPointer>;

}  // namespace

TEST_CASE("rows are told by their chains of versions") {
  auto with_key = version(9, 50, 100, 10);
  with_key.keys_updated = true;
  const auto rows = rows_of({version(1, 50, 0, 1),                                    // nobody's
                             version(2, 100, 0, 2),                                   // inserted
                             version(3, 50, 101, 4), version(4, 101, 0, 4, true),     // updated
                             version(5, 50, 101, 5),                                  // deleted
                             version(6, 100, 101, 7), version(7, 101, 102, 7, true),  // came and went
                             version(8, 60, 70, 8),                                   // deleted, by none of them
                             with_key, version(10, 100, 102, 11, true), version(11, 102, 0, 11, true),
                             version(12, 102, 55, 12),       // its deletion was rolled back
                             version(13, 102, 0, 13, true),  // what they replaced is cleaned up
                             version(14, 101, 102, 14, true)});
  CHECK(rows.inserted == Places{{0, 2}, {0, 12}});
  CHECK(rows.updated == Places{{0, 4}, {0, 11}});
  CHECK(rows.unrooted == Places{{0, 13}});
  CHECK(rows.deleted == Places{{0, 5}, {0, 14}});
  CHECK(rows.old_keys == Places{{0, 9}});
  CHECK(rows.replaced == Places{{0, 3}});
  CHECK(rows.insertions == 3);
  CHECK(rows.updates == 6);
  CHECK(rows.deletions == 3);
}

TEST_CASE("what is no longer on the pages is told by the log") {
  auto heap_only = version(1, 100, 0, 1, true);
  heap_only.is_heap_only = true;
  const auto found = rows_of({heap_only, version(2, 100, 0, 2), version(3, 50, 101, 3)});
  using Lines = std::vector<std::string>;

  auto rows = found;
  CHECK(settle_with_log(rows, {.inserted = 1, .updated = 1, .deleted = 1}) == Lines{});
  CHECK(rows.updated == Places{{0, 1}});  // nobody's insertion is missing
  CHECK(rows.unrooted.empty());

  rows = found;
  const auto lines = settle_with_log(rows, {.inserted = 2, .updated = 3, .deleted = 4});
  REQUIRE(lines.size() == 3);
  CHECK(lines[0].starts_with("3 deleted rows are no longer on their pages"));
  CHECK(lines[1].starts_with("of up to 2 updates the earlier version is no longer on its page"));
  CHECK(lines[2].starts_with("the first versions of 1 rows are no longer on their pages"));
  CHECK(rows.updated.empty());
  CHECK(rows.unrooted == Places{{0, 1}});

  rows = rows_of({version(1, 100, 0, 1, true)});
  CHECK(settle_with_log(rows, {.inserted = 0, .updated = 1, .deleted = 0}).size() == 1);  // it may have another key
}

TEST_CASE("locks are no deletions, and of a multixact its updater counts") {
  auto locked = version(1, 50, 100, 1);
  locked.xmax_locks_only = true;
  auto updated = version(2, 50, 9000, 3);
  updated.xmax_is_multi = true;
  auto only_locked = version(4, 50, 9001, 4);
  only_locked.xmax_is_multi = true;
  const auto rows = rows_of({locked, updated, version(3, 101, 0, 3, true), only_locked});
  CHECK(rows.updated == Places{{0, 3}});
  CHECK(rows.deleted.empty());
}

TEST_CASE("a place that was given to another row is not followed") {
  const auto rows = rows_of({version(1, 50, 100, 2), version(2, 102, 0, 2)});
  CHECK(rows.deleted == Places{{0, 1}});
  CHECK(rows.inserted == Places{{0, 2}});
}

TEST_CASE("pages of any content are read without harm") {
  std::vector<std::byte> page(8192);
  std::uint32_t seed = 12345;
  for (int round = 0; round < 2000; ++round) {
    for (auto& byte : page) {
      seed = seed * 1664525U + 1013904223U;
      byte = static_cast<std::byte>(seed >> 24U);
    }
    page[12] = std::byte{0xff};  // many line pointers
    page[13] = std::byte{0x0f};
    page[14] = std::byte{0xff};
    page[15] = std::byte{0x1f};
    std::vector<std::uint16_t> offsets;
    for (const auto& tuple : read_heap_page(page)) offsets.push_back(tuple.offset);
    revive_tuples(page, offsets);
  }
  CHECK(read_heap_page({}).empty());
  CHECK(is_heap_page(std::vector<std::byte>(8192)));  // made, and not written to yet
  CHECK_FALSE(is_heap_page(std::vector<std::byte>(8192, std::byte{0xff})));
}

TEST_CASE("file names are safe, and statements are quoted") {
  CHECK(safe_file_part("../a b.C_1-ü") == "%2E%2E%2Fa%20b%2EC_1-ü");
  CHECK(copy_statement("\"s\".\"t\"", {"a", "b\"c"}, {{1, 2}, {3, 4}}, 0, 2, true) ==
        "COPY (SELECT \"a\", \"b\"\"c\" FROM ONLY \"s\".\"t\" WHERE ctid = ANY ('{\"(1,2)\",\"(3,4)\"}'::tid[])) TO "
        "STDOUT "
        "(FORMAT csv, HEADER true)");
}

TEST_CASE("a quarantine is bounded by age and size, the oldest first") {
  using std::chrono::hours;
  std::vector<QuarantineFact> facts = {
      {"old", hours(99), 10}, {"middle", hours(50), 10}, {"used", hours(98), 10, true}, {"new", hours(1), 10}};
  const auto ids = [&](const QuarantineConfig& bounds) {
    std::vector<std::string> chosen;
    for (const auto& removal : choose_removals(facts, bounds)) chosen.push_back(removal.id);
    return chosen;
  };
  using Ids = std::vector<std::string>;
  CHECK(ids({.max_age = hours(1000), .max_bytes = 0}).empty());
  CHECK(ids({.max_age = hours(60), .max_bytes = 0}) == Ids{"old"});
  CHECK(ids({.max_age = hours(0), .max_bytes = 0}) == Ids{"old", "middle", "new"});
  CHECK(ids({.max_age = hours(1000), .max_bytes = 35}) == Ids{"old"});
  CHECK(ids({.max_age = hours(1000), .max_bytes = 5}) == Ids{"old", "middle"});
  facts[0].told = false;  // which transactions it held: before that it does not go, however old or large it is
  CHECK(ids({.max_age = hours(0), .max_bytes = 5}) == Ids{"middle", "new"});
}

TEST_CASE("of entries that were seen to be of one age the names tell which is older") {
  const std::vector<QuarantineFact> facts = {{"a-2", {}, 10}, {"a-3", {}, 10}, {"a-1", {}, 10}};
  const auto removals = choose_removals(facts, {.max_age = std::chrono::hours(1), .max_bytes = 25});
  REQUIRE(removals.size() == 1);
  CHECK(removals[0].id == "a-1");
}

TEST_CASE("the age of an entry is what was seen to pass since it was there, whatever the wall clock says") {
  using std::chrono::hours;
  const auto first = look_at_age(std::nullopt, "boot 1", hours(500));  // the host ran long before there was an entry
  CHECK(first.age == hours(0));
  const auto second = look_at_age(first, "boot 1", hours(520));
  CHECK(second.age == hours(20));
  const auto behind = look_at_age(second, "boot 1", hours(510));
  CHECK(behind.age == hours(20));
  const auto booted = look_at_age(second, "boot 2", hours(900));  // or moved to another host, which has run for long
  CHECK(booted.age == hours(20));
  CHECK(look_at_age(booted, "boot 2", hours(903)).age == hours(23));
}
