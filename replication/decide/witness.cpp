#include "replication/decide/witness.h"

#include <algorithm>

#include "replication/decide/durability.h"

namespace pgkeel {
namespace {

// It does so right now, although the primary is silent to us.
bool hears_from(const Situation& situation, const NodeView& node, const NodeView& primary) {
  if (&node == &primary || !node.answers_as_standby()) return false;
  const NodeFacts& facts = *node.facts;
  if (!facts.wal_receiver_streaming || !facts.wal_receiver_silence) return false;
  // It may know the primary by another address than we do.
  const bool known_there = primary.facts && std::ranges::any_of(primary.facts->wal_senders, [&](const auto& sender) {
                             return sender.application_name == node.name;
                           });
  const HostPort& source = facts.wal_receiver_source;
  if (source != primary.address && !source.host.empty() && !known_there) return false;
  // What was sent before the primary fell silent says nothing of now: the message must be clearly newer.
  const Instant last_message = node.facts_at - *facts.wal_receiver_silence;
  const bool recent = situation.now.instant - last_message < situation.policy.failure_timeout / 2;
  return last_message > primary.suspicion.last_heard && recent;
}

}  // namespace

const NodeView* witness_of_life(const Situation& situation) {
  const NodeView* primary = situation.primary();
  if (primary == nullptr || primary->suspicion.liveness != Liveness::kSilent) return nullptr;
  for (const auto& node : situation.view.nodes) {
    if (hears_from(situation, node, *primary)) return &node;
  }
  return nullptr;
}

const NodeView* witness_that_stays(const Situation& situation) {
  const NodeView* primary = situation.primary();
  if (primary == nullptr || primary->local || primary->suspicion.liveness != Liveness::kSilent) return nullptr;
  for (const auto& node : situation.view.nodes) {
    if (!hears_from(situation, node, *primary)) continue;
    const bool is_cut_off = safety_is_demanded(situation) && situation.memory.promise.contains(node.name);
    if (!is_cut_off || node.facts->replay_paused) return &node;
  }
  return nullptr;
}

}  // namespace pgkeel
