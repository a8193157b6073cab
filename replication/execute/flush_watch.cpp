#include "replication/execute/flush_watch.h"

#include <utility>

namespace pgkeel {

void FlushWatch::primary_said(const NodeFacts& facts, Instant facts_at) {
  if (facts_at <= newest_) return;
  newest_ = facts_at;
  const Lsn position_before = std::exchange(position_, facts.wal_position);
  const auto flushed_before = std::exchange(flushed_, {});
  const auto flushes_before = std::exchange(flushes_, {});
  const Lsn least = position_before.valid() && position_before < position_ ? position_before : position_;
  for (const auto& sender : facts.wal_senders) {
    const std::string& name = sender.application_name;
    flushed_[name] = sender.flushed;
    FlushProgress& progress = flushes_[name];
    progress.keeps_up = sender.flushed >= least;
    if (facts.backends_waiting_for_standbys == 0 || sender.flushed >= position_) continue;
    const auto earlier = flushed_before.find(name);
    const bool moved = earlier == flushed_before.end() || earlier->second != sender.flushed;
    const auto since = moved ? std::nullopt : flushes_before.at(name).stands_still_since;
    progress.stands_still_since = since.value_or(facts_at);
  }
  for (const auto& [name, progress] : flushes_before) {
    if (!flushes_.contains(name)) flushes_[name].gone_since = progress.gone_since.value_or(facts_at);
  }
}

}  // namespace pgkeel
