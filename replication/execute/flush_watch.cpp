#include "replication/execute/flush_watch.h"

#include <algorithm>
#include <utility>

#include "replication/sync/standby_names.h"

namespace pgkeel {

using namespace std::chrono_literals;

namespace {

constexpr Duration kReplayPatience = 1s;  // as long as a slow disk has by default

// Commits wait, and not for any flush: as many standbys as they need have flushed all there is.
bool waits_for_replay(const NodeFacts& facts) {
  if (facts.backends_waiting_for_standbys == 0) return false;
  const auto names = parse_standby_names(facts.synchronous_standby_names);
  if (!names || names->empty()) return false;
  const auto holders = std::ranges::count_if(facts.wal_senders, [&](const WalSender& sender) {
    return names->contains(sender.application_name) && sender.flushed >= facts.wal_position;
  });
  return std::cmp_greater_equal(holders, names->acks);
}

}  // namespace

void FlushWatch::primary_said(const NodeFacts& facts, Instant facts_at, Instant heard_at) {
  if (facts_at <= newest_) return;
  newest_ = facts_at;
  const Lsn position_before = std::exchange(position_, facts.wal_position);
  const auto told_before = std::exchange(told_, {});
  const auto flushes_before = std::exchange(flushes_, {});
  const Lsn least = position_before.valid() && position_before < position_ ? position_before : position_;
  const bool nothing_is_left_to_flush = waits_for_replay(facts) && position_before == position_;
  for (const auto& sender : facts.wal_senders) {
    const std::string& name = sender.application_name;
    told_[name] = {sender.flushed, sender.replayed};
    FlushProgress& progress = flushes_[name];
    progress.keeps_up = sender.flushed >= least;
    const auto earlier = told_before.find(name);
    if (earlier != told_before.end() && earlier->second.replayed == sender.replayed) {
      const FlushProgress& before = flushes_before.at(name);
      const bool stands_still = nothing_is_left_to_flush && sender.replayed.valid() && sender.replayed < position_;
      if (stands_still) progress.replay_stands_still_since = before.replay_stands_still_since.value_or(heard_at);
      progress.replay_holds_commits =
          before.replay_holds_commits ||
          (stands_still && facts_at - *progress.replay_stands_still_since >= kReplayPatience);
    }
    if (facts.backends_waiting_for_standbys == 0 || sender.flushed >= position_) continue;
    const bool moved = earlier == told_before.end() || earlier->second.flushed != sender.flushed;
    const auto since = moved ? std::nullopt : flushes_before.at(name).stands_still_since;
    progress.stands_still_since = since.value_or(heard_at);
  }
  for (const auto& [name, progress] : flushes_before) {
    if (!flushes_.contains(name)) flushes_[name].gone_since = progress.gone_since.value_or(facts_at);
  }
}

}  // namespace pgkeel
