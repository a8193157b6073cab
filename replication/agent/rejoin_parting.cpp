// Whether a node that looks as if it had only to be started holds another log than its upstream, although both are on
// one timeline, by its number; and from where on. Each byte of the upstream's log is asked of it. The rest of Rejoin is
// in rejoin.cpp.
#include <algorithm>
#include <fstream>
#include <vector>

#include "replication/agent/rejoin.h"
#include "replication/agent/wal_end.h"

namespace pgkeel {
namespace {

constexpr std::uint64_t kComparedBytes = 1U << 20;  // at once

// Of this data directory's own log, inside one segment; empty: it is gone.
std::string wal_bytes_of(const DataDirectory& directory, Timeline timeline, Lsn begin, std::uint64_t count,
                         std::uint32_t segment_bytes) {
  std::ifstream file(directory.file("pg_wal/" + wal_file_name(timeline, begin, segment_bytes)), std::ios::binary);
  std::string bytes(count, '\0');
  file.seekg(static_cast<std::streamoff>(begin.value % segment_bytes));
  if (!file.read(bytes.data(), static_cast<std::streamsize>(count))) return "";
  return bytes;
}

// Up to `end`, but no more than is compared at once, and no further than the segment.
std::uint64_t length_from(Lsn begin, Lsn end, std::uint32_t segment_bytes) {
  return std::min({kComparedBytes, end.value - begin.value, segment_bytes - begin.value % segment_bytes});
}

}  // namespace

// Of nodes on one timeline only one can have written to it. But the upstream may have lost what it had sent (its disk
// lied, it came back from a snapshot), and two nodes that were promoted apart at the very same position wrote timelines
// of one number and one history: what they wrote first, the end of their recovery, bears its time.
void Rejoin::look_for_parting(Diagnosis& diagnosis, const ControlData& control, const UpstreamAccess& upstream) const {
  Divergence& divergence = diagnosis.divergence;
  const auto& end = divergence.wal_end;
  if (diagnosis.need != Need::kStart || !end || divergence.timeline != upstream.server().timeline) return;
  const auto differs_at = [&](Lsn begin) {
    const std::uint64_t count = length_from(begin, *end, control.wal_segment_bytes);
    const std::string bytes = wal_bytes_of(directory_, divergence.timeline, begin, count, control.wal_segment_bytes);
    return !bytes.empty() &&
           upstream.has_same_wal(divergence.timeline, begin, control.wal_segment_bytes, bytes) == std::optional(false);
  };
  const auto parted = [&](std::string reason) {
    diagnosis.need = Need::kRebuild;  // pg_rewind takes equal timeline numbers for equal histories, and does nothing
    divergence.reason = std::move(reason);
  };
  const std::string number = std::to_string(divergence.timeline);
  const auto& history = upstream.server().timeline_history;
  if (!history.empty() && *end > history.back().end && differs_at(history.back().end))
    return parted("its timeline " + number + " is another than the one of this number that the upstream writes");
  const Lsn written = upstream.server().wal_position;
  const bool is_ahead = written.valid() && *end > written;
  const Lsn last_page{(end->value - 1) / control.wal_block_bytes * control.wal_block_bytes};
  if (!is_ahead && !differs_at(last_page)) return;
  parted("its WAL ends at " + format_lsn(*end) + " of timeline " + number + ", which " + upstream_.node + " wrote " +
         (is_ahead ? "up to " + format_lsn(written) + " only" : "anew in another way"));
  divergence.fork = where_it_parted(divergence, control, upstream);
  if (divergence.fork) divergence.fork_timeline = divergence.timeline;
}

// The end of the last record in pages that both have, from its last checkpoint on; nothing where they parted before
// that, or the upstream cannot be asked any more: then all that is there counts as its own.
std::optional<Lsn> Rejoin::where_it_parted(const Divergence& divergence, const ControlData& control,
                                           const UpstreamAccess& upstream) const {
  const std::uint64_t block_bytes = control.wal_block_bytes;
  Lsn begin{control.checkpoint_redo.value / block_bytes * block_bytes};
  std::uint64_t step = kComparedBytes;
  while (begin < *divergence.wal_end) {
    const std::uint64_t count = std::min(step, length_from(begin, *divergence.wal_end, control.wal_segment_bytes));
    const std::string bytes = wal_bytes_of(directory_, divergence.timeline, begin, count, control.wal_segment_bytes);
    if (bytes.empty() || directory_.break_off().stop_requested()) return std::nullopt;
    const auto same = upstream.has_same_wal(divergence.timeline, begin, control.wal_segment_bytes, bytes);
    if (same == std::optional(true)) {
      begin = Lsn{begin.value + count};
    } else if (step > block_bytes) {
      step = block_bytes;  // this page, or one of the next
    } else {
      break;  // the upstream has something else there, or nothing yet
    }
  }
  if (begin <= control.checkpoint_redo) return std::nullopt;
  const WalGeometry geometry{control.wal_segment_bytes, control.wal_block_bytes, divergence.timeline};
  const auto shared = find_wal_end(geometry, control.checkpoint_redo, [&](Lsn page_begin, std::span<std::byte> page) {
    if (page_begin >= begin) return false;
    const std::string bytes =
        wal_bytes_of(directory_, divergence.timeline, page_begin, page.size(), control.wal_segment_bytes);
    std::ranges::transform(bytes, page.begin(), [](char byte) { return static_cast<std::byte>(byte); });
    return !bytes.empty();
  });
  return shared ? std::optional(*shared) : std::nullopt;
}

}  // namespace pgkeel
