// The write-ahead log of a simulated server: a list of records, each with a number that no other record anywhere has,
// so that two logs can be compared. Tests only.
#pragma once

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <optional>
#include <span>
#include <vector>

#include "proxy/base/lsn.h"

namespace pgkeel::simulation {

using RecordId = std::uint32_t;

struct Wal {
  static constexpr std::uint64_t kBegin = 0x1000000;
  static constexpr std::uint64_t kRecordBytes = 0x80000;  // large, so that a slot is worth moving on after some

  Timeline timeline = 1;
  std::vector<TimelineFork> history;
  std::vector<RecordId> records;
  bool mixed = false;  // it has streamed on from another timeline of the same number: what it holds is good for nothing

  [[nodiscard]] Lsn end() const { return position(records.size()); }
  static Lsn position(std::size_t count) { return {kBegin + kRecordBytes * static_cast<std::uint64_t>(count)}; }
  static std::size_t count(Lsn position) { return static_cast<std::size_t>((position.value - kBegin) / kRecordBytes); }

  [[nodiscard]] bool holds(RecordId record) const {
    return !mixed &&
           std::ranges::binary_search(records, record);  // every log grows: a newer record has a higher number
  }

  // Where `old_timeline` ended in this history.
  [[nodiscard]] std::optional<Lsn> fork_of(Timeline old_timeline) const {
    for (const auto& fork : history) {
      if (fork.timeline == old_timeline) return fork.end;
    }
    return std::nullopt;
  }

  // As PostgreSQL judges it, by the numbers of the timelines alone.
  [[nodiscard]] bool can_stream_from(const Wal& upstream) const {
    if (timeline > upstream.timeline) return false;
    if (timeline == upstream.timeline) return records.size() <= upstream.records.size();
    const auto fork = upstream.fork_of(timeline);
    return fork && end() <= *fork;
  }

  // Its own history file says where each timeline ended: as far as both pass through the same timelines they agree.
  [[nodiscard]] bool agrees_with(const Wal& later) const {
    return history.size() <= later.history.size() &&
           std::ranges::equal(history, std::span(later.history).first(history.size()));
  }

  // In truth: everything in it is in the other one too, at the same place.
  [[nodiscard]] bool is_prefix_of(const Wal& other) const {
    if (mixed || records.size() > other.records.size()) return false;
    return records.empty() || records.back() == other.records[records.size() - 1];
  }

  // Takes over up to `most` further records.
  void receive_from(const Wal& upstream, std::size_t most) {
    const std::size_t end_after = std::min(upstream.records.size(), records.size() + most);
    records.insert(records.end(), upstream.records.begin() + static_cast<std::ptrdiff_t>(records.size()),
                   upstream.records.begin() + static_cast<std::ptrdiff_t>(end_after));
    if (mixed) return;  // its history file stays its own
    timeline = upstream.timeline;
    history = upstream.history;
    while (!history.empty() && history.back().end > end()) {  // it is inside an earlier timeline still
      timeline = history.back().timeline;
      history.pop_back();
    }
  }
};

}  // namespace pgkeel::simulation
