#include "replication/agent/heap_page.h"

#include <algorithm>
#include <cstring>
#include <optional>

namespace pgkeel {
namespace {

constexpr std::size_t kPageHeaderBytes = 24;
constexpr std::size_t kTupleHeaderBytes = 23;
constexpr std::size_t kLinePointerBytes = 4;
constexpr std::uint32_t kLineIsNormal = 1;

// Of a tuple's header.
constexpr std::size_t kXmax = 4;
constexpr std::size_t kNextBlockHigh = 12;
constexpr std::size_t kNextBlockLow = 14;
constexpr std::size_t kNextOffset = 16;
constexpr std::size_t kInfomask2 = 18;
constexpr std::size_t kInfomask = 20;
constexpr std::size_t kDataBegin = 22;
constexpr std::uint16_t kMovedPartitionsOffset = 0xfffd;

constexpr std::uint16_t kXmaxKeyShareLock = 0x0010;
constexpr std::uint16_t kXmaxExclusiveLock = 0x0040;
constexpr std::uint16_t kXmaxLockOnly = 0x0080;
constexpr std::uint16_t kXminCommitted = 0x0100;
constexpr std::uint16_t kXminInvalid = 0x0200;  // with kXminCommitted: frozen
constexpr std::uint16_t kXmaxCommitted = 0x0400;
constexpr std::uint16_t kXmaxInvalid = 0x0800;
constexpr std::uint16_t kXmaxIsMulti = 0x1000;
constexpr std::uint16_t kUpdated = 0x2000;
constexpr std::uint16_t kKeysUpdated = 0x2000;  // infomask2
constexpr std::uint16_t kHotUpdated = 0x4000;   // infomask2
constexpr std::uint16_t kHeapOnly = 0x8000;     // infomask2

template <class Number>
Number number_at(std::span<const std::byte> bytes, std::size_t position) {
  Number value{};
  std::memcpy(&value, bytes.data() + position, sizeof value);
  return value;
}

template <class Number>
void put_number(std::span<std::byte> bytes, std::size_t position, Number value) {
  std::memcpy(bytes.data() + position, &value, sizeof value);
}

bool has_page_header(std::span<const std::byte> page) {
  if (page.size() < kPageHeaderBytes) return false;
  const auto lower = number_at<std::uint16_t>(page, 12);
  const auto upper = number_at<std::uint16_t>(page, 14);
  return lower >= kPageHeaderBytes && lower <= upper && upper <= page.size();
}

std::size_t line_pointers(std::span<const std::byte> page) {
  if (!has_page_header(page)) return 0;
  return (number_at<std::uint16_t>(page, 12) - kPageHeaderBytes) / kLinePointerBytes;
}

struct Place {
  std::size_t begin = 0;
  std::size_t bytes = 0;
};

// Of the row that line pointer `offset` leads to.
std::optional<Place> place_of(std::span<const std::byte> page, std::size_t offset) {
  if (offset == 0 || offset > line_pointers(page)) return std::nullopt;
  const auto line = number_at<std::uint32_t>(page, kPageHeaderBytes + (offset - 1) * kLinePointerBytes);
  const Place place{line & 0x7fffU, line >> 17U};
  const bool normal = ((line >> 15U) & 3U) == kLineIsNormal;
  const bool fits =
      place.begin >= kPageHeaderBytes && place.bytes >= kTupleHeaderBytes && place.begin + place.bytes <= page.size();
  return normal && fits ? std::optional(place) : std::nullopt;
}

}  // namespace

bool is_heap_page(std::span<const std::byte> page) {
  return has_page_header(page) || std::ranges::all_of(page, [](std::byte byte) { return byte == std::byte{0}; });
}

std::vector<HeapTuple> read_heap_page(std::span<const std::byte> page) {
  std::vector<HeapTuple> tuples;
  const auto count = line_pointers(page);
  for (std::size_t offset = 1; offset <= count; ++offset) {
    const auto place = place_of(page, offset);
    if (!place) continue;
    const auto row = page.subspan(place->begin, place->bytes);
    const auto infomask = number_at<std::uint16_t>(row, kInfomask);
    const auto infomask2 = number_at<std::uint16_t>(row, kInfomask2);
    const auto data_begin = std::to_integer<std::size_t>(row[kDataBegin]);
    if (data_begin < kTupleHeaderBytes || data_begin > row.size()) continue;
    HeapTuple tuple;
    tuple.offset = static_cast<std::uint16_t>(offset);
    tuple.xmin = number_at<std::uint32_t>(row, 0);
    tuple.xmax = number_at<std::uint32_t>(row, kXmax);
    tuple.next.block = (std::uint32_t{number_at<std::uint16_t>(row, kNextBlockHigh)} << 16U) |
                       number_at<std::uint16_t>(row, kNextBlockLow);
    tuple.next.offset = number_at<std::uint16_t>(row, kNextOffset);
    tuple.xmin_invalid = (infomask & (kXminCommitted | kXminInvalid)) == kXminInvalid;
    tuple.xmax_invalid = tuple.xmax == 0 || (infomask & kXmaxInvalid) != 0;
    tuple.xmax_is_multi = (infomask & kXmaxIsMulti) != 0;
    // As HEAP_XMAX_IS_LOCKED_ONLY; a lock without the flag is of a server that was upgraded.
    tuple.xmax_locks_only =
        (infomask & kXmaxLockOnly) != 0 || (infomask & (kXmaxIsMulti | kXmaxExclusiveLock)) == kXmaxExclusiveLock;
    tuple.is_update = (infomask & kUpdated) != 0;
    tuple.is_heap_only = (infomask2 & kHeapOnly) != 0;
    tuple.moved_to_partition = tuple.next.offset == kMovedPartitionsOffset;
    tuple.keys_updated = (infomask2 & kKeysUpdated) != 0;
    tuple.data = row.subspan(data_begin);
    tuples.push_back(tuple);
  }
  return tuples;
}

void revive_tuples(std::span<std::byte> page, std::span<const std::uint16_t> offsets) {
  for (const auto offset : offsets) {
    const auto place = place_of(page, offset);
    if (!place) continue;
    const auto row = page.subspan(place->begin, place->bytes);
    constexpr unsigned kGone = kXmaxCommitted | kXmaxIsMulti | kXmaxLockOnly | kXmaxExclusiveLock | kXmaxKeyShareLock;
    const unsigned infomask = number_at<std::uint16_t>(row, kInfomask);
    const unsigned infomask2 = number_at<std::uint16_t>(row, kInfomask2);
    put_number(row, kXmax, std::uint32_t{0});
    put_number(row, kInfomask, static_cast<std::uint16_t>((infomask & ~kGone) | kXmaxInvalid));
    put_number(row, kInfomask2, static_cast<std::uint16_t>(infomask2 & ~unsigned{kKeysUpdated | kHotUpdated}));
  }
}

}  // namespace pgkeel
