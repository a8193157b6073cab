// Where the write-ahead log of a stopped server ends: the end of the last whole record, found as PostgreSQL's crash
// recovery finds it, without starting anything. Formats: PostgreSQL's xlog_internal.h and xlogrecord.h, unchanged since
// 9.5. The reading is pure over a page source; every byte is checked before it is believed. Any thread.
#pragma once

#include <cstddef>
#include <cstdint>
#include <functional>
#include <span>
#include <string>

#include "proxy/base/lsn.h"
#include "proxy/base/result.h"
#include "replication/agent/control_data.h"

namespace pgkeel {

struct WalGeometry {
  std::uint32_t segment_bytes = 0;
  std::uint32_t block_bytes = 0;
  Timeline timeline = 0;  // whose segment files are read
};

// Fills `page` with the block that begins at `begin`; false where there is none.
using ReadWalPage = std::function<bool(Lsn begin, std::span<std::byte> page)>;

// `start` is the begin of a record, or the place where a timeline begins. An error where the log can't be followed, or
// where valid log lies behind the end: then nobody should rely on an end.
Result<Lsn> find_wal_end(const WalGeometry& geometry, Lsn start, const ReadWalPage& read_page);

// "000000010000000000000003": the file of `timeline` that holds `lsn`.
std::string wal_file_name(Timeline timeline, Lsn lsn, std::uint32_t segment_bytes);

// The same on the files of a data directory's pg_wal.
Result<Lsn> find_wal_end_in(const std::string& wal_directory, const WalGeometry& geometry, Lsn start);

// The CRC-32C that WAL records carry.
std::uint32_t crc32c(std::uint32_t crc, std::span<const std::byte> bytes);  // begin with 0

}  // namespace pgkeel
