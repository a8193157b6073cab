#include "replication/agent/wal_end.h"

#include <algorithm>
#include <array>
#include <bit>
#include <cstdio>
#include <cstring>
#include <fcntl.h>
#include <optional>
#include <unistd.h>
#include <vector>

namespace pgkeel {
namespace {

// XLogPageHeaderData, padded to 8; the first page of a segment has XLogLongPageHeaderData.
constexpr std::size_t kShortHeaderBytes = 24;
constexpr std::size_t kLongHeaderBytes = 40;
constexpr std::uint16_t kFirstIsContinued = 0x0001;
constexpr std::uint16_t kFirstIsOverwrite = 0x0008;  // the record that was broken off before is given up

// XLogRecord
constexpr std::size_t kRecordHeaderBytes = 24;
constexpr std::size_t kCrcOffset = 20;
constexpr std::uint32_t kRecordBytesMax = 1020U << 20;
constexpr std::byte kSwitchInfo{0x40};  // XLOG_SWITCH of resource manager 0: the rest of the segment is empty

// The log is in the byte order of the machine that wrote it, which is the one that pgkeel stands on.
template <class Integer>
Integer read_integer(std::span<const std::byte> bytes, std::size_t offset) {
  Integer value{};
  std::memcpy(&value, bytes.data() + offset, sizeof value);
  return value;
}

class WalReader {
 public:
  WalReader(const WalGeometry& geometry, const ReadWalPage& read_page)
      : geometry_(geometry), read_page_(read_page), page_(geometry.block_bytes) {}

  Result<Lsn> find_end(Lsn start) {
    std::uint64_t position = start.value;
    while (const auto next = read_record(position)) position = *next;
    if (!saw_page_) return Error{"the log at " + format_lsn(start) + " is not there"};
    // The pages after the last one that was good must not be good, else what stopped us was damage and not the end.
    if (load_page(last_page_ + geometry_.block_bytes)) {
      return Error{"the log is damaged at " + format_lsn(Lsn{position}) + ": more of it lies behind"};
    }
    return Lsn{position};
  }

 private:
  // Where the next record begins; nothing where there is no whole one at `position`.
  std::optional<std::uint64_t> read_record(std::uint64_t position) {
    if (!enter_page(position, 0)) return std::nullopt;
    const std::uint64_t begin = position;
    record_.clear();
    if (!append_bytes(position, sizeof(std::uint32_t))) return std::nullopt;  // records begin at multiples of 8
    const auto total = read_integer<std::uint32_t>(record_, 0);
    if (total < kRecordHeaderBytes || total > kRecordBytesMax) return std::nullopt;
    position += sizeof(std::uint32_t);
    while (record_.size() < total) {
      if (position % geometry_.block_bytes == 0) {
        const auto page = position;
        if (!enter_page(position, static_cast<std::uint32_t>(total - record_.size()))) {
          return overwritten_at(page);
        }
      }
      const auto left_in_page = geometry_.block_bytes - position % geometry_.block_bytes;
      const auto count = std::min<std::uint64_t>(left_in_page, total - record_.size());
      append_bytes(position, count);
      position += count;
    }
    if (!is_valid_record()) return std::nullopt;
    previous_ = begin;
    position = (position + 7) & ~std::uint64_t{7};
    const bool is_switch = record_[17] == std::byte{0} && (record_[16] & std::byte{0xF0}) == kSwitchInfo;
    if (is_switch) {
      position = (position + geometry_.segment_bytes - 1) / geometry_.segment_bytes * geometry_.segment_bytes;
      last_page_ = position - geometry_.block_bytes;  // the pages between have headers, and nothing in them
    }
    return position;
  }

  [[nodiscard]] bool is_valid_record() const {
    const std::span<const std::byte> record(record_);
    if (previous_ && read_integer<std::uint64_t>(record, 8) != *previous_) return false;
    const auto crc = crc32c(crc32c(0, record.subspan(kRecordHeaderBytes)), record.first(kCrcOffset));
    return crc == read_integer<std::uint32_t>(record, kCrcOffset);
  }

  // After a crash in the middle of a record PostgreSQL 14 and later goes on at the next page, and says so there.
  std::optional<std::uint64_t> overwritten_at(std::uint64_t page) {
    if (!load_page(page) || (read_integer<std::uint16_t>(page_, 2) & kFirstIsOverwrite) == 0) return std::nullopt;
    return page;
  }

  // Makes the page of `position` the current one. At its begin the header is stepped over, which must say that
  // `continued_bytes` of a record come first.
  bool enter_page(std::uint64_t& position, std::uint32_t continued_bytes) {
    const auto offset = position % geometry_.block_bytes;
    if (!load_page(position - offset)) return false;
    if (offset != 0) return true;
    const bool continued = (read_integer<std::uint16_t>(page_, 2) & kFirstIsContinued) != 0;
    if (continued != (continued_bytes != 0)) return false;
    if (continued && read_integer<std::uint32_t>(page_, 16) != continued_bytes) return false;
    position += position % geometry_.segment_bytes == 0 ? kLongHeaderBytes : kShortHeaderBytes;
    return true;
  }

  bool load_page(std::uint64_t begin) {
    if (loaded_ == begin) return true;
    loaded_.reset();
    if (!read_page_(Lsn{begin}, page_)) return false;
    const auto magic = read_integer<std::uint16_t>(page_, 0);
    if (magic == 0 || (magic_ && magic != *magic_)) return false;
    if (read_integer<Timeline>(page_, 4) > geometry_.timeline) return false;
    if (read_integer<std::uint64_t>(page_, 8) != begin) return false;  // a recycled file has the old place here
    magic_ = magic;
    loaded_ = begin;
    saw_page_ = true;
    last_page_ = std::max(last_page_, begin);
    return true;
  }

  bool append_bytes(std::uint64_t position, std::uint64_t count) {
    const auto offset = position % geometry_.block_bytes;
    if (loaded_ != position - offset || offset + count > geometry_.block_bytes) return false;
    const auto begin = page_.begin() + static_cast<std::ptrdiff_t>(offset);
    record_.insert(record_.end(), begin, begin + static_cast<std::ptrdiff_t>(count));
    return true;
  }

  const WalGeometry& geometry_;
  const ReadWalPage& read_page_;
  std::vector<std::byte> page_;
  std::vector<std::byte> record_;
  std::optional<std::uint64_t> loaded_;
  std::optional<std::uint64_t> previous_;  // begin of the record before
  std::optional<std::uint16_t> magic_;
  std::uint64_t last_page_ = 0;
  bool saw_page_ = false;
};

class SegmentFiles {
 public:
  SegmentFiles(std::string directory, const WalGeometry& geometry)
      : directory_(std::move(directory)), geometry_(geometry) {}
  ~SegmentFiles() { close_file(); }
  SegmentFiles(const SegmentFiles&) = delete;
  SegmentFiles& operator=(const SegmentFiles&) = delete;

  bool read(Lsn begin, std::span<std::byte> page) {
    auto name = wal_file_name(geometry_.timeline, begin, geometry_.segment_bytes);
    if (name != name_) {
      close_file();
      name_ = std::move(name);
      descriptor_ = open((directory_ + "/" + name_).c_str(), O_RDONLY | O_CLOEXEC);
    }
    if (descriptor_ < 0) return false;
    const auto offset = static_cast<off_t>(begin.value % geometry_.segment_bytes);
    return pread(descriptor_, page.data(), page.size(), offset) == static_cast<ssize_t>(page.size());
  }

 private:
  void close_file() {
    if (descriptor_ >= 0) close(descriptor_);
    descriptor_ = -1;
  }

  std::string directory_;
  const WalGeometry& geometry_;
  std::string name_;
  int descriptor_ = -1;
};

}  // namespace

Result<Lsn> find_wal_end(const WalGeometry& geometry, Lsn start, const ReadWalPage& read_page) {
  const bool sane = std::has_single_bit(geometry.block_bytes) && std::has_single_bit(geometry.segment_bytes) &&
                    geometry.block_bytes >= 1024 && geometry.block_bytes <= 65536 &&
                    geometry.segment_bytes >= geometry.block_bytes;
  if (!sane || start.value % 8 != 0) return Error{"the log at " + format_lsn(start) + " cannot be read"};
  return WalReader(geometry, read_page).find_end(start);
}

std::string wal_file_name(Timeline timeline, Lsn lsn, std::uint32_t segment_bytes) {
  const auto segment = lsn.value / segment_bytes;
  const auto segments_per_id = (std::uint64_t{1} << 32) / segment_bytes;
  char name[32];
  std::snprintf(name, sizeof name, "%08X%08X%08X", timeline, static_cast<unsigned>(segment / segments_per_id),
                static_cast<unsigned>(segment % segments_per_id));
  return name;
}

Result<Lsn> find_wal_end_in(const std::string& wal_directory, const WalGeometry& geometry, Lsn start) {
  SegmentFiles files(wal_directory, geometry);
  return find_wal_end(geometry, start, [&](Lsn begin, std::span<std::byte> page) { return files.read(begin, page); });
}

std::uint32_t crc32c(std::uint32_t crc, std::span<const std::byte> bytes) {
  static const auto table = [] {
    std::array<std::uint32_t, 256> made{};
    for (std::uint32_t index = 0; index < 256; ++index) {
      std::uint32_t value = index;
      for (int bit = 0; bit < 8; ++bit) value = (value >> 1) ^ ((value & 1U) != 0 ? 0x82F63B78U : 0U);
      made[index] = value;
    }
    return made;
  }();
  crc = ~crc;
  for (const auto byte : bytes) crc = (crc >> 8) ^ table[(crc ^ std::to_integer<std::uint32_t>(byte)) & 0xFFU];
  return ~crc;
}

}  // namespace pgkeel
