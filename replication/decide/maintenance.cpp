#include "replication/decide/maintenance.h"

#include <algorithm>

#include "replication/decide/durability.h"
#include "replication/decide/order_outcome.h"
#include "replication/sync/standby_names.h"

namespace pgkeel {
namespace {

// Another standby that commits can wait for.
bool another_is_there(const Situation& situation, const std::string& node) {
  const SyncQuorum& names = situation.memory.standby_names;
  return std::ranges::any_of(
      names.members, [&](const std::string& member) { return member != node && !is_out(situation.memory, member); });
}

OrderAnswer judge_end(const Situation& situation, const OperatorOrder& order) {
  if (order.node.empty()) {
    if (!situation.memory.maintenance) return refused("the cluster is not under maintenance");
    return accepted("From now on a primary that fails is failed over, and standbys are repaired, as usual.");
  }
  if (!is_out(situation.memory, order.node)) return refused(order.node + " is not under maintenance");
  return accepted(order.node + " is taken back: it is made a standby again where it is none, and safe as soon as it " +
                  "has caught up.");
}

}  // namespace

bool is_out(const ClusterMemory& memory, const std::string& node) {
  return memory.nodes_maintained.contains(node);
}

std::string tell_maintenance(const Maintenance& maintenance) {
  return "under maintenance since " + format_wall_time(maintenance.since) + " (" + maintenance.given_by + ")";
}

void tell_of_maintenance(const ClusterMemory& memory, Decision& decision) {
  if (!memory.maintenance || decision.condition == Condition::kCollision) return;
  decision.condition = Condition::kMaintenance;
  decision.summary += "; " + tell_maintenance(*memory.maintenance) + ": nothing is failed over or repaired";
}

OrderAnswer judge_maintenance(const Situation& situation, const OperatorOrder& order) {
  const ClusterMemory& memory = situation.memory;
  if (!order.on) return judge_end(situation, order);
  if (memory.phase == Phase::kTornDown) return refused("the cluster is torn down");
  if (memory.phase != Phase::kSteady && memory.phase != Phase::kStopped)
    return refused("the primary is being changed (" + std::string(phase_name(memory.phase)) +
                   "); wait until that is over");
  if (order.node.empty()) {
    if (memory.maintenance) return refused("the cluster is " + tell_maintenance(*memory.maintenance) + " already");
    return accepted(
        "Until `pgkeel maintenance off` nothing is failed over, fenced, started or rebuilt by itself: PostgreSQL can "
        "be stopped and started by hand. While the primary is down clients get 57P01 and wait for it, up to "
        "hold_timeout.");
  }
  if (situation.view.node(order.node) == nullptr) return refused("there is no node " + order.node);
  if (order.node == memory.primary)
    return refused(order.node + " is the primary; give its role to another node first (`pgkeel switchover`)");
  if (const auto out = memory.nodes_maintained.find(order.node); out != memory.nodes_maintained.end())
    return refused(order.node + " is " + tell_maintenance(out->second) + " already");
  if (situation.policy.durability == Durability::kStrict && !another_is_there(situation, order.node)) {
    return refused("durability is strict, and " + order.node +
                   " is the only standby that commits can wait for: they would wait until it is back");
  }
  const bool last = std::ranges::none_of(situation.view.nodes, [&](const NodeView& node) {
    return node.name != memory.primary && node.name != order.node && !is_out(memory, node.name);
  });
  return accepted("Commits no longer wait for " + order.node + ", it is never promoted, and left alone until `pgkeel " +
                  "maintenance off`. Clients notice nothing." +
                  (last ? " Meanwhile nobody can take over from " + memory.primary + "." : ""));
}

void apply_maintenance(const OperatorOrder& order, ClusterMemory& next) {
  const Maintenance begun{order.given_at, order.given_by};
  if (order.node.empty()) {
    next.maintenance = order.on ? std::optional(begun) : std::nullopt;
  } else if (order.on) {
    next.nodes_maintained[order.node] = begun;
  } else {
    next.nodes_maintained.erase(order.node);
  }
}

void settle_maintenance(const Situation& situation, OperatorOrder& order) {
  const ClusterMemory& memory = situation.memory;
  const std::string what = order.node.empty() ? "the cluster" : order.node;
  if (order.on && !order.node.empty() && !is_out(memory, order.node)) {
    return end_order(order, OrderState::kFailed,
                     "the maintenance of " + what + " was ended before commits were released from it");
  }
  if (order.on && !order.node.empty() && commits_are_kept(situation.policy) && memory.phase == Phase::kSteady) {
    const bool released = !memory.promise.contains(order.node) && !memory.standby_names.contains(order.node) &&
                          !memory.standby_names_in_force.contains(order.node);
    const NodeView* primary = situation.primary();
    const bool can_be_released = primary != nullptr && primary->answers_as_primary();
    const bool is_seen =
        can_be_released && primary->facts->synchronous_standby_names == standby_names_text(memory.standby_names);
    if (can_be_released && !(released && is_seen)) return;
  }
  end_order(order, OrderState::kDone,
            what + (order.on ? " is under maintenance" : " is not under maintenance any more"));
}

}  // namespace pgkeel
