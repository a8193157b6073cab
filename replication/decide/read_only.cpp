#include "replication/decide/read_only.h"

#include <algorithm>

#include "replication/decide/situation.h"

namespace pgkeel {
namespace {

constexpr Duration kPatienceMin = std::chrono::seconds(5);
constexpr int kPatienceFactor = 5;
constexpr std::size_t kPositionsMax = 1000;

Reader excluded(const NodeView& node, std::string why_not) {
  Reader reader;
  reader.node = node.name;
  reader.why_not = std::move(why_not);
  return reader;
}

}  // namespace

Duration ReadOnlyPolicy::patience() const {
  return std::max<Duration>(kPatienceMin, kPatienceFactor * max_read_lag);
}

const char* readability_name(Readability readability) {
  switch (readability) {
    case Readability::kEligible:
      return "eligible";
    case Readability::kBehind:
      return "behind";
    case Readability::kExcluded:
      return "excluded";
  }
  return "unknown";
}

std::vector<Reader> ReadOnlyEndpoint::decide(const std::vector<NodeView>& nodes, const ReadOnlyContext& context,
                                             Instant now) {
  const std::string& primary = context.primary;
  // Positions of another primary say nothing; and every session begins anew in an epoch.
  if (context.epoch != epoch_ || (primary != primary_ && !primary.empty())) {
    positions_.clear();
    received_.clear();
    standings_.clear();
    epoch_ = context.epoch;
    primary_ = primary;
  }
  const auto found = std::ranges::find(nodes, primary, &NodeView::name);
  const NodeView* primary_view = found == nodes.end() ? nullptr : &*found;
  if (primary_view != nullptr && primary_view->answers_as_primary())
    note(positions_, {primary_view->facts_at, primary_view->facts->wal_position});
  std::vector<Reader> readers;
  std::set<std::string> unknown;
  for (const NodeView& node : nodes) {
    if (!node.facts || !node.facts->wal_receiver_streaming)
      received_.erase(node.name);
    else if (node.facts->wal_receiver_written.value > 0)
      note(received_[node.name], {node.facts_at, node.facts->wal_receiver_written});
    Reader reader = judge(node, primary_view);
    if (reader.readability == Readability::kExcluded || reader.is_primary)
      standings_[node.name] = {.was_out = node.facts != nullptr};  // of one that was never heard nothing is known
    else if (context.maintained.contains(node.name))
      apply_patience(reader, node.name + " is out for maintenance", now);
    else if (why_unfit(node, primary_view, now).empty() && only_primary_is_mute(node, *primary_view, reader)) {
      standings_[node.name].out_since.reset();
      reader.readability = Readability::kBehind;
      reader.why_not = primary + " has not told its position for " + format_duration(now - positions_.back().at);
      unknown.insert(node.name);
    } else
      apply_patience(reader, why_behind(node, primary_view, reader, now), now);
    readers.push_back(std::move(reader));
  }
  prefer_unknown_to_mute_primary(readers, unknown);
  return readers;
}

void ReadOnlyEndpoint::prefer_unknown_to_mute_primary(std::vector<Reader>& readers,
                                                      const std::set<std::string>& unknown) const {
  const bool some_are_known = std::ranges::any_of(
      readers, [](const Reader& each) { return !each.is_primary && each.readability == Readability::kEligible; });
  if (some_are_known) return;
  for (Reader& reader : readers) {
    if (!unknown.contains(reader.node) || standings_.at(reader.node).was_out) continue;
    reader.readability = Readability::kEligible;
    reader.why_not.clear();
  }
}

// Of the same position the newest time counts: until then nothing was written behind it.
void ReadOnlyEndpoint::note(Positions& positions, Position position) {
  if (!positions.empty()) {
    Position& newest = positions.back();
    if (position.at <= newest.at) return;
    if (position.lsn == newest.lsn) {
      newest.at = position.at;
      return;
    }
  }
  positions.push_back(position);
  if (positions.size() > kPositionsMax) positions.pop_front();
}

std::optional<Duration> ReadOnlyEndpoint::lag_behind(const Positions& positions, const NodeView& standby) {
  for (auto position = positions.rbegin(); position != positions.rend(); ++position) {
    if (position->lsn <= standby.facts->replayed)
      return std::max<Duration>(standby.facts_at - position->at, Duration::zero());
  }
  return std::nullopt;
}

// Whether the node may be read from at all.
Reader ReadOnlyEndpoint::judge(const NodeView& node, const NodeView* primary) const {
  if (primary != nullptr && node.name == primary->name) {
    return {.node = node.name, .readability = Readability::kEligible, .is_primary = true, .lag = Duration::zero()};
  }
  if (!node.answering()) return excluded(node, why_not_known(node));
  if (!node.facts->in_recovery) return excluded(node, node.name + " is no standby");
  Reader reader{.node = node.name, .readability = Readability::kEligible};
  if (primary == nullptr || !primary->facts || primary->facts->in_recovery) return reader;
  const NodeFacts& standby_facts = *node.facts;
  const NodeFacts& primary_facts = *primary->facts;
  const bool other_history = standby_facts.system_identifier != primary_facts.system_identifier ||
                             standby_facts.timeline > primary_facts.timeline ||
                             timelines_differ(standby_facts, primary_facts);
  if (other_history) return excluded(node, node.name + " is not on the history of " + primary->name);
  measure(node, reader);
  return reader;
}

void ReadOnlyEndpoint::measure(const NodeView& standby, Reader& reader) const {
  if (positions_.empty()) return;
  const Lsn replayed = standby.facts->replayed;
  const Lsn written = positions_.back().lsn;
  reader.lag_bytes = written > replayed ? written.value - replayed.value : 0;
  reader.lag = lag_behind(positions_, standby);
  if (reader.lag) return;
  // It is further behind than we have watched. Once that is too much, so much is known.
  const Duration watched = standby.facts_at - positions_.front().at;
  if (watched > policy_.max_read_lag) reader.lag = watched;
}

// Whatever its lag. Empty: it is what it should be.
std::string ReadOnlyEndpoint::why_unfit(const NodeView& standby, const NodeView* primary, Instant now) const {
  if (primary == nullptr) return "there is no primary that " + standby.name + " could be measured against";
  if (primary->facts && standby.facts->timeline < primary->facts->timeline)
    return standby.name + " has not followed to the primary's timeline yet";
  if (!standby.facts->wal_receiver_streaming) return standby.name + " does not stream";
  if (standby.suspicion.liveness != Liveness::kAlive || now - standby.facts_at > policy_.failure_timeout)
    return standby.name + " has not told its position lately";
  return "";
}

// The lag seems to grow only because the age of what the primary has told does.
bool ReadOnlyEndpoint::only_primary_is_mute(const NodeView& standby, const NodeView& primary,
                                            const Reader& reader) const {
  const Liveness liveness = primary.suspicion.liveness;
  if (liveness != Liveness::kAlive && liveness != Liveness::kLate) return false;
  if (!reader.lag || *reader.lag <= policy_.max_read_lag) return false;
  if (positions_.empty() || positions_.back().lsn > standby.facts->replayed) return false;
  const auto received = received_.find(standby.name);
  if (received == received_.end()) return false;
  const auto own_lag = lag_behind(received->second, standby);
  return own_lag && *own_lag <= policy_.max_read_lag;
}

// Empty: it is close enough.
std::string ReadOnlyEndpoint::why_behind(const NodeView& standby, const NodeView* primary, const Reader& reader,
                                         Instant now) const {
  if (std::string why = why_unfit(standby, primary, now); !why.empty()) return why;
  if (!reader.lag) return standby.name + " could not be measured against " + primary->name + " yet";
  if (*reader.lag > policy_.max_read_lag) {
    const bool never_reached = positions_.front().lsn > standby.facts->replayed;
    return standby.name + " is " + (never_reached ? "at least " : "") + format_duration(*reader.lag) + " behind (" +
           std::to_string(*reader.lag_bytes) + " bytes; max_read_lag is " + format_duration(policy_.max_read_lag) + ")";
  }
  return "";
}

void ReadOnlyEndpoint::apply_patience(Reader& reader, const std::string& why_behind, Instant now) {
  Standing& standing = standings_[reader.node];
  if (!why_behind.empty()) {
    // Where it could not be measured yet, the first time will do.
    standing.was_out = standing.was_out || reader.lag.has_value();
    standing.within_since.reset();
    if (!standing.out_since) standing.out_since = now;
    const bool for_good = now - *standing.out_since >= policy_.patience();
    reader.readability = for_good ? Readability::kExcluded : Readability::kBehind;
    reader.why_not = why_behind;
    return;
  }
  standing.out_since.reset();
  if (!standing.within_since) standing.within_since = now;
  if (standing.was_out && now - *standing.within_since < ReadOnlyPolicy::kReturnAfter) {
    reader.readability = Readability::kBehind;
    reader.why_not = reader.node + " has only just caught up";
    return;
  }
  standing.was_out = false;
}

}  // namespace pgkeel
