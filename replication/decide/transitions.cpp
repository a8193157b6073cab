#include "replication/decide/transitions.h"

#include <algorithm>

#include "replication/decide/candidate.h"
#include "replication/decide/durability.h"
#include "replication/decide/election.h"
#include "replication/decide/failover.h"
#include "replication/decide/orders.h"
#include "replication/decide/planned_transitions.h"
#include "replication/sync/standby_names.h"

namespace pgkeel {
namespace {

using MaybeMemory = std::optional<ClusterMemory>;

ClusterMemory with_new_primary(const Situation& situation, const NodeView& primary, std::string reason) {
  ClusterMemory next = situation.memory;
  next.phase = Phase::kSteady;
  next.epoch = situation.memory.epoch + 1;
  next.primary = primary.name;
  next.candidate.clear();
  next.abandoned_candidate.clear();
  next.reason = std::move(reason);
  next.system_identifier = primary.facts->system_identifier;
  next.timeline = primary.facts->timeline;
  next.promise = next.standby_names = next.standby_names_in_force = {};
  next.opens_when_commits_wait = !first_standby_names(situation, primary.name).empty();
  next.nodes_maintained.erase(primary.name);  // whoever made it the primary is done with it
  return next;
}

MaybeMemory adopt(const Situation& situation, Instant&) {
  if (!situation.policy.adopt.empty()) return std::nullopt;
  const Adoption found = adoption(situation);
  if (found.primary == nullptr) return std::nullopt;
  return with_new_primary(situation, *found.primary, "adopted: the only primary, every node on its history");
}

// It answers, and shares no history with the node that is chosen: nothing of it is to be kept, or fenced.
bool is_stranger(const NodeView& other, const NodeView& chosen) {
  return other.answering() && other.facts->system_identifier != chosen.facts->system_identifier;
}

MaybeMemory adopt_by_operator(const Situation& situation, Instant&) {
  const NodeView* node = adopted_by_operator(situation);
  if (node == nullptr) return std::nullopt;
  ClusterMemory next = with_new_primary(situation, *node, "adopted by the operator");
  for (const auto& other : situation.view.nodes) {
    const bool may_hold_more = other.name == situation.memory.primary || !other.answers_as_standby();
    if (may_hold_more && !is_stranger(other, *node)) next.nodes[other.name].old_primary = true;
  }
  next.nodes.erase(node->name);
  return next;
}

MaybeMemory begin_failover(const Situation& situation, Instant&) {
  if (!failover_is_due(situation)) return std::nullopt;
  ClusterMemory next = situation.memory;
  next.phase = Phase::kFencing;
  next.epoch += 1;
  next.reason = situation.memory.primary + " failed: " + situation.primary()->suspicion.evidence;
  next.automatic_failovers.push_back(situation.now.wall);
  return next;
}

MaybeMemory begin_ordered_failover(const Situation& situation, Instant&) {
  if (failover_ordered(situation) == nullptr) return std::nullopt;
  ClusterMemory next = situation.memory;
  next.phase = Phase::kFencing;
  next.epoch += 1;
  const OperatorOrder& order = carry_out(next, OrderKind::kFailover);
  next.reason =
      "an operator ordered a failover" + (order.node.empty() ? "" : " to " + order.node) + " (" + order.given_by + ")";
  return next;
}

MaybeMemory resolve_collision(const Situation& situation, Instant&) {
  const NodeView* kept = resolution_ordered(situation);
  if (kept == nullptr) return std::nullopt;
  const bool moves = situation.memory.phase != Phase::kSteady || kept->name != situation.memory.primary;
  ClusterMemory next = situation.memory;
  if (moves) next = with_new_primary(situation, *kept, "");
  next.reason =
      "an operator keeps the history of " + kept->name + " (" + carry_out(next, OrderKind::kResolve).given_by + ")";
  for (const auto& other : situation.view.nodes) {
    if (is_stranger(other, *kept)) continue;
    const bool may_hold_more = other.answers_as_primary() || (moves && !other.answers_as_standby());
    if (may_hold_more || (moves && other.name == situation.memory.primary)) next.nodes[other.name] = {true, true};
  }
  next.nodes.erase(kept->name);
  return next;
}

MaybeMemory follow_hand_promotion(const Situation& situation, Instant&) {
  const HandPromotion promotion = hand_promotion(situation);
  if (promotion.node == nullptr || !promotion.safe || situation.adoption_is_open()) return std::nullopt;
  const std::string old_primary = situation.memory.primary;
  ClusterMemory next = with_new_primary(
      situation, *promotion.node,
      promotion.node->name + " was promoted by hand, and " + old_primary + " has nothing beyond the fork");
  next.nodes[old_primary].old_primary = true;
  return next;
}

// Which fence holds the old primary, as one clause.
std::string tell_fence(const Situation& situation) {
  const std::string& name = situation.memory.primary;
  const ActionStatus* fence = situation.current_action(ActionKind::kFence, name);
  const FenceStrength strength =
      fence == nullptr || fence->running || !fence->succeeded ? FenceStrength::kNone : fence->fence;
  switch (strength) {
    case FenceStrength::kProvenStopped:
      return name + " is proven stopped";
    case FenceStrength::kWeak:
      return name + " is fenced weakly, by SQL";
    case FenceStrength::kNone:
      break;
  }
  return name + " cannot be reached: the route keeps clients away from it" +
         (commits_are_kept(situation.policy) ? ", and it acknowledges no commit without its standbys" : "");
}

MaybeMemory choose_candidate(const Situation& situation, Instant& again_at) {
  const NodeView* candidate = candidate_to_promote(situation, again_at);
  if (candidate == nullptr) return std::nullopt;
  ClusterMemory next = situation.memory;
  next.phase = Phase::kPromoting;
  next.candidate = candidate->name;
  const OperatorOrder* order = running_order(situation.memory, OrderKind::kFailover);
  const bool ordered = order != nullptr && order->node == candidate->name;
  const bool instead = order != nullptr && !order->node.empty() && !ordered;
  next.reason = candidate->name +
                (ordered   ? " is promoted as ordered: "
                 : instead ? " has the most WAL, so it is promoted instead of " + order->node + ": "
                           : " has the most WAL: ") +
                format_lsn(candidate->facts->wal_position) + " of timeline " +
                std::to_string(candidate->facts->timeline) + "; " + tell_fence(situation);
  return next;
}

MaybeMemory return_to_old_primary(const Situation& situation, Instant&) {
  const NodeView* old_primary = situation.primary();
  if (old_primary == nullptr || !old_primary->answers_as_primary() || situation.adoption_is_open()) return std::nullopt;
  if (old_primary->facts_at < situation.view.phase_since || !abandoned_candidate_is_stopped(situation))
    return std::nullopt;
  if (old_primary->facts->timeline < situation.memory.timeline) return std::nullopt;
  if (old_primary->facts->system_identifier != situation.memory.system_identifier) return std::nullopt;
  const ActionStatus* fence = situation.current_action(ActionKind::kFence, old_primary->name);
  const bool fenced_since = fence != nullptr && (fence->running || old_primary->facts_at < fence->finished_at);
  if (fenced_since || somebody_can_be_elected(situation)) return std::nullopt;
  if (hand_promotion(situation).node != nullptr) return std::nullopt;  // another one may have taken writes meanwhile
  ClusterMemory next = situation.memory;
  next.phase = Phase::kSteady;
  if (!next.abandoned_candidate.empty()) next.nodes[next.abandoned_candidate].old_primary = true;
  next.abandoned_candidate.clear();
  next.promise = next.standby_names_in_force = {};  // it belonged to the epoch before
  next.reason = old_primary->name + " is back, and nobody could replace it";
  return next;
}

MaybeMemory finish_promotion(const Situation& situation, Instant&) {
  const ActionStatus* promotion = situation.current_action(ActionKind::kPromote, situation.memory.candidate);
  if (promotion == nullptr || promotion->running || !promotion->succeeded) return std::nullopt;
  ClusterMemory next = situation.memory;
  next.phase = Phase::kSteady;
  next.nodes[next.primary].old_primary = true;
  if (!next.abandoned_candidate.empty()) next.nodes[next.abandoned_candidate].old_primary = true;
  next.primary = next.candidate;
  next.nodes.erase(next.primary);
  next.candidate.clear();
  next.abandoned_candidate.clear();
  next.reason = next.primary + " is promoted and takes writes";
  // It writes a newer timeline now, which one exactly its next facts say: whoever stayed on the old one may lack
  // writes.
  if (next.timeline != 0) next.timeline += 1;
  next.promise = next.standby_names_in_force = {};
  next.standby_names = first_standby_names(situation, next.primary);
  // The promotion has seen it, unless what is wanted now was not ordered when it was sent.
  const Action& sent = promotion->action;
  const bool is_proven = sent.commits_must_wait && sent.standby_names == standby_names_text(next.standby_names);
  next.opens_when_commits_wait = !next.standby_names.empty() && !is_proven;
  return next;
}

// The promotion may have been carried out: another candidate needs a new epoch, and proof that the first one is
// stopped.
MaybeMemory abandon_candidate(const Situation& situation, Instant&) {
  const NodeView* candidate = situation.view.node(situation.memory.candidate);
  if (candidate == nullptr || !candidate->local || !candidate->suspicion.failed()) return std::nullopt;
  if (!situation.memory.abandoned_candidate.empty()) return std::nullopt;
  ClusterMemory next = situation.memory;
  next.phase = Phase::kFencing;
  next.epoch += 1;
  next.abandoned_candidate = candidate->name;
  next.candidate.clear();
  next.reason = candidate->name + " failed while it was promoted: " + candidate->suspicion.evidence;
  const Situation without_it{situation.view, next, situation.policy, situation.now};
  const NodeView* other = best_candidate(without_it);
  if (other == nullptr || other->facts_at < candidate->suspicion.since) return std::nullopt;
  if (!election_is_possible(without_it)) return std::nullopt;  // only the first one can go on
  return next;
}

// The same without the proof, which an operator does without.
MaybeMemory abandon_candidate_as_ordered(const Situation& situation, Instant&) {
  const OperatorOrder* order = failover_ordered(situation);
  if (order == nullptr) return std::nullopt;
  ClusterMemory next = situation.memory;
  next.phase = Phase::kFencing;
  next.epoch += 1;
  next.abandoned_candidate = next.candidate;
  next.candidate.clear();
  carry_out(next, OrderKind::kFailover);
  next.reason = "an operator gives up " + next.abandoned_candidate + ", which failed while it was promoted (" +
                order->given_by + ")";
  return next;
}

constexpr Transition kTransitions[] = {
    {Phase::kUnadopted, Phase::kSteady, "one primary, all nodes answer on one history", adopt},
    {Phase::kUnadopted, Phase::kSteady, "serve --adopt NODE", adopt_by_operator},
    {Phase::kSteady, Phase::kSteady, "serve --adopt NODE", adopt_by_operator},
    {Phase::kReturning, Phase::kSteady, "serve --adopt NODE", adopt_by_operator},
    {Phase::kStopped, Phase::kSteady, "serve --adopt NODE", adopt_by_operator},
    {Phase::kTornDown, Phase::kSteady, "serve --adopt NODE", adopt_by_operator},
    {Phase::kFencing, Phase::kSteady, "serve --adopt NODE", adopt_by_operator},
    {Phase::kPromoting, Phase::kSteady, "serve --adopt NODE", adopt_by_operator},
    {Phase::kUnadopted, Phase::kSteady, "resolve --keep NODE", resolve_collision},
    {Phase::kSteady, Phase::kSteady, "resolve --keep NODE", resolve_collision},
    {Phase::kFencing, Phase::kSteady, "resolve --keep NODE", resolve_collision},
    {Phase::kSteady, Phase::kFencing, "an operator orders a failover", begin_ordered_failover},
    {Phase::kSteady, Phase::kSteady, "promoted by hand, old primary proven stopped before the fork",
     follow_hand_promotion},
    {Phase::kSteady, Phase::kFencing, "primary failed, a standby can replace it", begin_failover},
    {Phase::kSteady, Phase::kDraining, "an operator orders a switchover", begin_switchover},
    {Phase::kSteady, Phase::kDraining, "an operator orders a stop", begin_stop},
    {Phase::kSteady, Phase::kTornDown, "an operator orders a teardown", begin_teardown},
    {Phase::kDraining, Phase::kSteady, "given up, nobody was disturbed", give_up_drain},
    {Phase::kDraining, Phase::kStopped, "no transaction is open, or drain_timeout is over: stop", end_drain_for_stop},
    {Phase::kStopped, Phase::kReturning, "an operator orders a start", begin_start},
    {Phase::kDraining, Phase::kStopping, "no transaction is open, or drain_timeout is over", end_drain},
    {Phase::kStopping, Phase::kPromoting, "primary shut down, the standby has all of its WAL", promote_after_shutdown},
    {Phase::kStopping, Phase::kFencing, "primary crashed or does not stop, a standby can replace it",
     fail_over_from_stop},
    {Phase::kStopping, Phase::kReturning, "switchover given up", give_up_stop},
    {Phase::kReturning, Phase::kSteady, "primary takes writes again", end_return},
    {Phase::kReturning, Phase::kSteady, "promoted by hand, old primary proven stopped before the fork",
     follow_hand_promotion},
    {Phase::kReturning, Phase::kFencing, "primary cannot be started, a standby can replace it", fail_over_from_return},
    {Phase::kFencing, Phase::kPromoting, "old epoch closed, old primary fenced, positions read", choose_candidate},
    {Phase::kFencing, Phase::kSteady, "old primary is back, nobody can replace it", return_to_old_primary},
    {Phase::kPromoting, Phase::kSteady, "candidate takes writes", finish_promotion},
    {Phase::kPromoting, Phase::kFencing, "candidate failed, another can replace it", abandon_candidate},
    {Phase::kPromoting, Phase::kFencing, "candidate failed, an operator orders another", abandon_candidate_as_ordered},
};

}  // namespace

std::span<const Transition> transitions() {
  return kTransitions;
}

std::string draw_transitions() {
  std::string diagram = "stateDiagram-v2\n    [*] --> unadopted\n";
  for (const auto& row : kTransitions) {
    diagram += std::string("    ") + phase_name(row.from) + " --> " + phase_name(row.to) + ": " + row.why + "\n";
  }
  return diagram;
}

}  // namespace pgkeel
