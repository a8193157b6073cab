// A position in the write-ahead log, and the timeline it belongs to (PostgreSQL manual, "WAL Internals", "Timelines").
#pragma once

#include <compare>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

namespace pgkeel {

// Bytes since the beginning of the log. Zero is invalid, as in PostgreSQL.
struct Lsn {
  std::uint64_t value = 0;

  [[nodiscard]] bool valid() const { return value != 0; }
  friend auto operator<=>(Lsn, Lsn) = default;
};

// "16/B374D848", as pg_lsn prints it.
std::string format_lsn(Lsn lsn);
std::optional<Lsn> parse_lsn(std::string_view text);

using Timeline = std::uint32_t;  // 0: not known

// Where a timeline ended: the rows of a timeline history file.
struct TimelineFork {
  Timeline timeline = 0;  // the one that ended
  Lsn end;                // the next timeline begins here

  friend bool operator==(const TimelineFork&, const TimelineFork&) = default;
};

}  // namespace pgkeel
