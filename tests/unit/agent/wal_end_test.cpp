#include "replication/agent/wal_end.h"

#include <algorithm>
#include <cstring>
#include <map>
#include <vector>

#include <doctest/doctest.h>

using namespace pgkeel;

namespace {

constexpr std::uint32_t kBlock = 1024;
constexpr std::uint32_t kSegment = 8 * kBlock;

// Writes records as PostgreSQL does, into pages of memory.
class WalWriter {
 public:
  explicit WalWriter(std::uint64_t start) : position_(start), start_(start) {}

  // Returns where the record begins.
  Lsn record(std::size_t payload_bytes, std::byte info = std::byte{0}) {
    enter();
    const std::uint64_t begin = position_;
    std::vector<std::byte> bytes(24 + payload_bytes, std::byte{0x5A});
    put(bytes, 0, static_cast<std::uint32_t>(bytes.size()));
    put(bytes, 4, std::uint32_t{7});
    put(bytes, 8, previous_);
    bytes[16] = info;
    bytes[17] = std::byte{0};
    const std::span<const std::byte> all(bytes);
    put(bytes, 20, crc32c(crc32c(0, all.subspan(24)), all.first(20)));
    for (std::size_t done = 0; done < bytes.size();) {
      enter(static_cast<std::uint32_t>(bytes.size() - done), done != 0);
      const auto count = std::min<std::size_t>(kBlock - position_ % kBlock, bytes.size() - done);
      std::memcpy(page().data() + position_ % kBlock, bytes.data() + done, count);
      position_ += count;
      done += count;
    }
    previous_ = begin;
    position_ = (position_ + 7) / 8 * 8;
    return Lsn{begin};
  }

  // The rest of the segment is left empty, with page headers in it.
  void switch_segment() {
    record(0, std::byte{0x40});
    while (position_ % kSegment != 0) {
      if (position_ % kBlock == 0) header(position_, 0, false);
      position_ = (position_ / kBlock + 1) * kBlock;
    }
  }

  [[nodiscard]] Lsn end() const { return Lsn{position_}; }
  [[nodiscard]] Result<Lsn> found() const {
    return find_wal_end({kSegment, kBlock, 1}, Lsn{start_}, [this](Lsn begin, std::span<std::byte> into) {
      const auto found = pages.find(begin.value);
      if (found == pages.end()) return false;
      std::ranges::copy(found->second, into.begin());
      return true;
    });
  }
  // A crash in the middle of a record of several pages, then a start: the log goes on at the record's second page.
  void break_off_and_go_on() {
    const auto previous = previous_;
    const Lsn broken = record(3 * kBlock);
    const auto next_page = broken.value / kBlock * kBlock + kBlock;
    pages.erase(pages.lower_bound(next_page), pages.end());
    header(next_page, 0, true);
    position_ = next_page + (next_page % kSegment == 0 ? 40 : 24);
    previous_ = previous;
  }

  std::map<std::uint64_t, std::vector<std::byte>> pages;

 private:
  template <class Integer>
  static void put(std::vector<std::byte>& bytes, std::size_t offset, Integer value) {
    std::memcpy(bytes.data() + offset, &value, sizeof value);
  }

  std::vector<std::byte>& page() {
    auto& found = pages[position_ / kBlock * kBlock];
    found.resize(kBlock);
    return found;
  }

  void header(std::uint64_t begin, std::uint32_t remaining, bool overwrite) {
    auto& bytes = pages[begin];
    bytes.assign(kBlock, std::byte{0});
    put(bytes, 0, std::uint16_t{0xD110});
    put(bytes, 2, static_cast<std::uint16_t>((remaining != 0 ? 1 : 0) | (overwrite ? 8 : 0)));
    put(bytes, 4, std::uint32_t{1});
    put(bytes, 8, begin);
    put(bytes, 16, remaining);
  }

  void enter(std::uint32_t remaining = 0, bool continued = false) {
    if (pages.empty()) header(position_ / kBlock * kBlock, 0, false);
    if (position_ % kBlock != 0) return;
    header(position_, continued ? remaining : 0, false);
    position_ += position_ % kSegment == 0 ? 40 : 24;
  }

  std::uint64_t position_;
  std::uint64_t start_;
  std::uint64_t previous_ = 0;
};

constexpr std::uint64_t kStart = kSegment + 40;

}  // namespace

TEST_CASE("the end is behind the last record, also where records span pages and segments") {
  WalWriter wal(kStart);
  for (int count = 0; count < 200; ++count) wal.record(static_cast<std::size_t>(count) * 13 % 3000);
  REQUIRE(wal.found());
  CHECK(*wal.found() == wal.end());
}

TEST_CASE("a log that ends at every possible place in a page is found to end there") {
  for (std::size_t bytes = 0; bytes < 2 * kBlock; bytes += 4) {
    CAPTURE(bytes);
    WalWriter wal(kStart);
    wal.record(bytes);
    REQUIRE(wal.found());
    CHECK(*wal.found() == wal.end());
  }
}

TEST_CASE("a record that is not whole does not count") {
  WalWriter wal(kStart);
  wal.record(100);
  const Lsn end = wal.end();
  wal.record(3000);
  wal.pages.erase(wal.pages.rbegin()->first);
  CHECK(*wal.found() == end);
}

TEST_CASE("a record with a wrong checksum ends the log") {
  WalWriter wal(kStart);
  wal.record(100);
  const Lsn end = wal.end();
  const Lsn broken = wal.record(50);
  wal.pages[broken.value / kBlock * kBlock][broken.value % kBlock + 30] ^= std::byte{1};
  CHECK(*wal.found() == end);
}

TEST_CASE("damage in front of good pages is no end") {
  WalWriter wal(kStart);
  const Lsn broken = wal.record(50);
  for (int count = 0; count < 100; ++count) wal.record(100);
  wal.pages[broken.value / kBlock * kBlock][broken.value % kBlock + 30] ^= std::byte{1};
  CHECK_FALSE(wal.found());
}

TEST_CASE("the old content of a recycled file is not read on") {
  WalWriter wal(kStart);
  wal.record(100);
  const auto recycled = kStart / kBlock * kBlock + kBlock;
  wal.pages[recycled].assign(kBlock, std::byte{0x11});
  CHECK(*wal.found() == wal.end());
}

TEST_CASE("after a switch the log goes on in the next segment") {
  WalWriter wal(kStart);
  wal.record(100);
  wal.switch_segment();
  CHECK(*wal.found() == wal.end());
  CHECK(wal.end().value % kSegment == 0);
  wal.record(100);
  CHECK(*wal.found() == wal.end());
}

TEST_CASE("a record that was given up after a crash is stepped over") {
  WalWriter wal(kStart);
  wal.record(100);
  wal.break_off_and_go_on();
  for (int count = 0; count < 50; ++count) wal.record(100);
  REQUIRE(wal.found());
  CHECK(*wal.found() == wal.end());
}

TEST_CASE("no log at the start is an error, and so is nonsense") {
  WalWriter wal(kStart);
  CHECK_FALSE(wal.found());
  const auto nothing = [](Lsn, std::span<std::byte>) { return false; };
  CHECK_FALSE(find_wal_end({0, 0, 1}, Lsn{8}, nothing));
  CHECK_FALSE(find_wal_end({kSegment, kBlock, 1}, Lsn{3}, nothing));
}

TEST_CASE("random bytes never break the reader") {
  WalWriter wal(kStart);
  for (int count = 0; count < 60; ++count) wal.record(200);
  std::uint32_t state = 12345;
  for (int round = 0; round < 2000; ++round) {
    WalWriter damaged = wal;
    for (int flips = 0; flips < 3; ++flips) {
      state = state * 1664525U + 1013904223U;
      auto page = damaged.pages.begin();
      std::advance(page, (state >> 8) % damaged.pages.size());
      page->second[(state >> 16) % kBlock] = static_cast<std::byte>(state >> 24);
    }
    const auto found = damaged.found();
    if (found) CHECK(found->value <= wal.end().value + kSegment);
  }
}

TEST_CASE("the checksum is CRC-32C") {
  CHECK(crc32c(0, std::as_bytes(std::span("123456789", 9))) == 0xE3069283U);
}

TEST_CASE("segment files are named as PostgreSQL names them") {
  CHECK(wal_file_name(1, Lsn{0x3000060}, 16U << 20) == "000000010000000000000003");
  CHECK(wal_file_name(0x1A, Lsn{0x2FF000000}, 16U << 20) == "0000001A00000002000000FF");
}
