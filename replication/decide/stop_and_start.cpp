#include "replication/decide/stop_and_start.h"

#include <algorithm>
#include <vector>

#include "replication/decide/collision.h"
#include "replication/decide/failover.h"
#include "replication/decide/hearing.h"
#include "replication/decide/maintenance.h"
#include "replication/decide/order_outcome.h"
#include "replication/decide/orders.h"
#include "replication/decide/retry.h"

namespace pgkeel {
namespace {

using namespace std::chrono_literals;

constexpr Duration kAgentPatience = 2min;      // before a node whose agent does not answer counts as failed
constexpr std::uint32_t kFailuresOfAStop = 3;  // in a row, before the order has failed

bool is_down(const Situation& situation, const NodeView& node) {
  const ActionStatus* stop = situation.current_action(ActionKind::kStopServer, node.name);
  return stop != nullptr && !stop->running && stop->succeeded && node.facts_at <= stop->finished_at;
}

// It failed, and neither pgkeel nor an agent handles its processes: there is nothing to shut down, or nobody to do it.
bool is_out_of_reach(const NodeView& node) {
  return !node.local && node.suspicion.failed();
}

// Neither shut down nor waited for.
bool is_left_alone(const Situation& situation, const NodeView& node) {
  return is_out(situation.memory, node.name) || situation.is_of_another_cluster(node);
}

Verdict stop_is_possible(const Situation& situation, const OperatorOrder& order) {
  const ClusterMemory& memory = situation.memory;
  if (memory.phase == Phase::kStopped) return Verdict::no("the cluster is stopped already");
  if (memory.phase == Phase::kTornDown) return Verdict::no("the cluster is torn down");
  if (memory.phase != Phase::kSteady)
    return Verdict::no("the primary is not settled (" + std::string(phase_name(memory.phase)) +
                       "); see `pgkeel status`");
  if (situation.adoption_is_open()) return Verdict::no(why_not_adopted(situation));
  if (const Verdict alone = no_rival_primary(situation); !alone) return alone;
  const NodeView* primary = situation.primary();
  if (primary == nullptr || !primary->answers_as_primary())
    return Verdict::no(memory.primary + ", the primary, does not answer");
  for (const auto& node : situation.view.nodes) {
    if (node.local || is_left_alone(situation, node) || is_out_of_reach(node)) continue;
    return Verdict::no("pgkeel cannot shut " + node.name + " down: " +
                       (node.local_doubt.empty() ? "it is not on this host and has no agent" : node.local_doubt));
  }
  return nothing_is_under_way(situation, order);
}

}  // namespace

OrderAnswer judge_stop(const Situation& situation, const OperatorOrder& order) {
  if (const Verdict possible = stop_is_possible(situation, order); !possible) return refused(possible.why_not);
  return accepted("Open transactions have " + format_duration(situation.policy.drain_timeout) +
                  " to end; then every session ends with 57P01, and who connects gets 57P03, until `pgkeel "
                  "start`. " +
                  situation.memory.primary + " is shut down first, so that the standbys have all of its WAL, " +
                  "then the standbys.");
}

OrderAnswer judge_start(const Situation& situation) {
  if (situation.memory.phase != Phase::kStopped) return refused("the cluster is not stopped");
  if (const OperatorOrder* stop = running_order(situation.memory, OrderKind::kStop); stop != nullptr)
    return refused("order " + std::to_string(stop->id) + " is still stopping it");
  return accepted(situation.memory.primary +
                  " is started as the primary, clients are let through, then the standbys are started.");
}

bool stop_may_begin(const Situation& situation) {
  const OperatorOrder* order = running_order(situation.memory, OrderKind::kStop);
  return order != nullptr && !order->carried_out && not_heard_from_yet(situation) == nullptr &&
         stop_is_possible(situation, *order);
}

std::string why_stop_is_given_up(const Situation& situation) {
  if (situation.adoption_is_open()) return why_not_adopted(situation);
  const NodeView* primary = situation.primary();
  if (primary == nullptr) return situation.memory.primary + " is not configured any more";
  if (primary->suspicion.failed()) return primary->name + " failed: " + primary->suspicion.evidence;
  if (const auto rivals = rival_primaries(situation); !rivals.empty())
    return rivals.front()->name + " is a primary that pgkeel did not promote";
  return primary->answers_as_standby() ? primary->name + " is not a primary any more" : "";
}

void judge_stopped(const Situation& situation, Decision& decision) {
  const ClusterMemory& memory = situation.memory;
  decision.condition = Condition::kStopped;
  decision.route_mode = RouteMode::kStopped;
  decision.route_reason = memory.reason;
  const bool stopping = running_order(decision.next, OrderKind::kStop) != nullptr;
  decision.summary = memory.reason + (stopping ? "; its nodes are being shut down" : "; `pgkeel start` starts it");
  const bool closed = situation.view.route_epoch_applied == memory.epoch && situation.view.route_closed;
  if (!stopping || !closed) return;
  const NodeView* primary = situation.primary();
  const auto stop = [&](const NodeView& node) {
    if (node.local && !is_left_alone(situation, node))
      start_action(situation, make_action(ActionKind::kStopServer, node.name, memory.epoch), decision);
  };
  // Not one standby before it, however long its agent is waited for.
  if (primary != nullptr && !is_down(situation, *primary) && !is_out_of_reach(*primary)) return stop(*primary);
  for (const auto& node : situation.view.nodes) {
    if (!is_down(situation, node)) stop(node);
  }
}

void settle_stop(const Situation& situation, OperatorOrder& order, Decision& decision) {
  if (situation.memory.phase == Phase::kSteady) {
    if (order.carried_out) return end_order(order, OrderState::kFailed, situation.memory.reason);
    if (too_early_to_judge(situation, decision.decide_again_at)) return;
    if (const Verdict possible = stop_is_possible(situation, order); !possible)
      end_order(order, OrderState::kFailed, possible.why_not);
    return;
  }
  if (situation.memory.phase != Phase::kStopped) return;
  bool all_down = true;
  std::vector<std::string> out_of_reach;
  // An agent may be started again together with pgkeel: it is waited for.
  const Instant due = order_since(situation, order) + kAgentPatience;
  for (const auto& node : situation.view.nodes) {
    if (is_left_alone(situation, node) || is_down(situation, node)) continue;
    if (is_out_of_reach(node)) {
      out_of_reach.push_back(node.name);
      continue;
    }
    all_down = false;
    const ActionStatus* stop = situation.current_action(ActionKind::kStopServer, node.name);
    const bool failed = stop != nullptr && stop->failures >= kFailuresOfAStop;
    const bool late = !node.local && situation.now.instant >= due;
    if (!node.local && !late) decision.decide_again_at = std::min(decision.decide_again_at, due);
    if (!failed && !late) continue;
    return end_order(order, OrderState::kFailed,
                     node.name + " could not be shut down: " + (failed ? stop->last_failure : node.local_doubt) +
                         "; clients are told that the cluster is stopped, until `pgkeel start`");
  }
  if (!all_down) return;
  end_order(order, OrderState::kDone,
            (out_of_reach.empty() ? "every node is shut down"
                                  : "every node is shut down but " + join_names(out_of_reach) + ", which " +
                                        (out_of_reach.size() == 1 ? "does" : "do") + " not answer") +
                "; `pgkeel start` starts the cluster");
}

void settle_start(const Situation& situation, OperatorOrder& order, Decision& decision) {
  const ClusterMemory& memory = situation.memory;
  if (memory.phase != Phase::kSteady) return;
  const NodeView* primary = situation.primary();
  if (primary == nullptr || !primary->answers_as_primary()) return;
  const Instant due = order_since(situation, order) + kStreamingPatience;
  for (const auto& node : situation.view.nodes) {
    if (&node == primary || is_left_alone(situation, node) || streams_from(node, *primary)) continue;
    const ActionStatus* rejoin = situation.current_action(ActionKind::kRejoin, node.name);
    const bool failed = rejoin != nullptr && !rejoin->running && !rejoin->succeeded;
    const bool late = (rejoin == nullptr || !rejoin->running) && situation.now.instant >= due;
    if (!failed && !late) {
      if (situation.now.instant < due) decision.decide_again_at = std::min(decision.decide_again_at, due);
      return;
    }
    return end_order(order, OrderState::kFailed,
                     primary->name + " is the primary, but " + node.name + " is no standby of it: " +
                         (failed ? rejoin->message : "it does not stream; its log says why"));
  }
  end_order(order, OrderState::kDone, primary->name + " is the primary, and every standby streams from it");
}

}  // namespace pgkeel
