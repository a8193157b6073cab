#include "replication/decide/candidate.h"

#include <string>
#include <tuple>
#include <utility>

#include "replication/decide/durability.h"
#include "replication/decide/maintenance.h"
#include "replication/decide/orders.h"

namespace pgkeel {

std::string why_never_promoted(const NodeView& standby, const NodeFacts* primary) {
  const NodeFacts& facts = *standby.facts;
  if (facts.recovery_min_apply_delay > Duration::zero())
    return standby.name + " is kept behind on purpose (recovery_min_apply_delay)";
  if (facts.recovery_target_set)
    return standby.name +
           " has a recovery_target, and would end its recovery there, without what it has received since";
  if (primary == nullptr) return "";
  for (const auto& [name, limit] : facts.limits) {
    const auto of_primary = primary->limits.find(name);
    if (of_primary == primary->limits.end() || limit >= of_primary->second) continue;
    return standby.name + " cannot replay all WAL: its " + name + " is " + std::to_string(limit) + ", its primary's " +
           std::to_string(of_primary->second);
  }
  return "";
}

Verdict may_be_promoted(const Situation& situation, const NodeView& node) {
  const ClusterMemory& memory = situation.memory;
  if (node.name == memory.primary) return Verdict::no(node.name + " is the primary that failed");
  if (node.name == memory.abandoned_candidate) return Verdict::no(node.name + " failed while it was promoted");
  if (node.priority == 0) return Verdict::no(node.name + " has priority 0");
  if (is_out(memory, node.name)) return Verdict::no(node.name + " is under maintenance");
  if (!node.answering()) return Verdict::no(node.name + " does not answer");
  const NodeFacts& facts = *node.facts;
  if (!facts.in_recovery) return Verdict::no(node.name + " is not a standby");
  if (situation.is_of_another_cluster(node)) return Verdict::no(node.name + " " + tell_other_cluster(node));
  if (situation.is_old_primary(node.name)) {
    return Verdict::no(node.name + " is an old primary that has not followed the newest one yet");
  }
  if (memory.timeline != 0 && facts.timeline != memory.timeline) {
    return Verdict::no(node.name + " is on timeline " + std::to_string(facts.timeline) +
                       ", the primary wrote timeline " + std::to_string(memory.timeline));
  }
  const NodeView* primary = situation.primary();
  const NodeFacts* facts_of_primary = primary != nullptr && primary->facts ? primary->facts.get() : nullptr;
  if (std::string why = why_never_promoted(node, facts_of_primary); !why.empty()) return Verdict::no(std::move(why));
  if (safety_is_demanded(situation) && !memory.promise.contains(node.name))
    return Verdict::no(node.name + " is not a safe standby: it may lack commits that were acknowledged");
  return Verdict::good();
}

const NodeView* best_candidate(const Situation& situation, const std::function<bool(const NodeView&)>& counts) {
  const NodeView* best = nullptr;
  const OperatorOrder* order = running_order(situation.memory, OrderKind::kFailover);
  const auto rank = [&](const NodeView& node) {
    const bool ordered = order != nullptr && order->node == node.name;
    const bool whatever_it_lacks = ordered && order->accept_loss;
    // A promotion ends a pause, but first it replays what has come in meanwhile: rather one that need not.
    return std::tuple(whatever_it_lacks, node.facts->timeline, node.facts->wal_position, ordered,
                      !node.facts->replay_paused, node.priority);
  };
  for (const auto& node : situation.view.nodes) {
    if (!may_be_promoted(situation, node) || (counts && !counts(node))) continue;
    if (best == nullptr || rank(node) > rank(*best)) best = &node;
  }
  return best;
}

std::string why_no_candidate(const Situation& situation) {
  std::string reasons;
  for (const auto& node : situation.view.nodes) {
    if (node.name == situation.memory.primary) continue;
    const Verdict verdict = may_be_promoted(situation, node);
    if (verdict) continue;
    if (!reasons.empty()) reasons += "; ";
    reasons += verdict.why_not;
  }
  return reasons.empty() ? "there is no standby" : reasons;
}

}  // namespace pgkeel
