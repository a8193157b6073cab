#include "replication/decide/provision.h"

#include <algorithm>

#include "replication/decide/candidate.h"
#include "replication/decide/collision.h"
#include "replication/decide/durability.h"
#include "replication/decide/failover.h"
#include "replication/decide/hearing.h"
#include "replication/decide/maintenance.h"
#include "replication/decide/order_outcome.h"
#include "replication/decide/orders.h"
#include "replication/decide/retry.h"

namespace pgkeel {
namespace {

using namespace std::chrono_literals;

constexpr Duration kSafetyPatience = 2min;  // before one that streams is left to become safe by itself

// There is a primary to copy, and nothing else is going on that a copy would get into the way of.
Verdict cluster_can_take_one_more(const Situation& situation) {
  const ClusterMemory& memory = situation.memory;
  if (memory.phase == Phase::kStopped) return Verdict::no("the cluster is stopped; `pgkeel start` starts it");
  if (memory.phase == Phase::kTornDown) return Verdict::no("the cluster is torn down");
  if (memory.phase != Phase::kSteady) return Verdict::no("the cluster has no primary now; see `pgkeel status`");
  if (memory.maintenance)
    return Verdict::no("the cluster is " + tell_maintenance(*memory.maintenance) +
                       "; `pgkeel maintenance off` ends it");
  if (situation.adoption_is_open()) return Verdict::no(why_not_adopted(situation));
  const NodeView* primary = situation.primary();
  if (primary == nullptr) return Verdict::no(why_not_configured(situation));
  if (!primary->answers_as_primary())
    return Verdict::no(memory.primary + ", the primary, does not answer: there is nothing to copy");
  if (const auto rivals = rival_primaries(situation); !rivals.empty()) {
    return Verdict::no(rivals.front()->name + " is a primary beside " + primary->name +
                       "; end the collision with `pgkeel resolve` first");
  }
  return Verdict::good();
}

Verdict no_order_is_in_the_way(const ClusterMemory& memory, const std::string& node) {
  for (const auto& other : memory.orders) {
    if (other.state != OrderState::kRunning) continue;
    const bool makes_standby = other.kind == OrderKind::kRejoin || other.kind == OrderKind::kProvision;
    if (makes_standby && other.node != node) continue;
    return Verdict::no("order " + std::to_string(other.id) + " (" + order_name(other.kind) + ") is under way");
  }
  return Verdict::good();
}

// pgkeel makes it a standby already, because auto_rejoin is on.
bool is_filled_by_itself(const Situation& situation, const std::string& node) {
  const ActionStatus* rejoin = situation.current_action(ActionKind::kRejoin, node);
  return rejoin != nullptr && rejoin->running;
}

Verdict node_can_be_filled(const Situation& situation, const NodeView& node) {
  const std::string& name = node.name;
  if (const auto out = situation.memory.nodes_maintained.find(name); out != situation.memory.nodes_maintained.end())
    return Verdict::no(name + " is " + tell_maintenance(out->second) + "; `pgkeel maintenance off` takes it back");
  const Liveness liveness = node.suspicion.liveness;
  if (node.answering() || liveness == Liveness::kAlive || liveness == Liveness::kLate)
    return Verdict::no(name + " answers already: it is no empty host; `pgkeel rejoin` mends a standby");
  if (liveness == Liveness::kStarting || liveness == Liveness::kStuck)
    return Verdict::no("a server is starting on " + name + ": it is no empty host");
  if (!node.local && !node.local_doubt.empty())
    return Verdict::no("pgkeel cannot reach the files of " + name + ": " + node.local_doubt);
  if (!node.local) {
    return Verdict::no("pgkeel cannot reach the files of " + name +
                       ": it has no agent and is not on this host; give it " +
                       "`agent` or `local` in the configuration");
  }
  if (host_job_runs(situation, name) && !is_filled_by_itself(situation, name))
    return Verdict::no("work on " + name + " is under way; see `pgkeel status`, and wait for its end");
  return Verdict::good();
}

void fail(OperatorOrder& order, std::string message) {
  end_order(order, OrderState::kFailed, std::move(message));
}

bool is_safe_or_never(const Situation& situation, const NodeView& node) {
  if (!commits_are_kept(situation.policy) || node.priority == 0) return true;
  return situation.memory.promise.contains(node.name);
}

}  // namespace

OrderAnswer judge_provision(const Situation& situation, const OperatorOrder& order) {
  const NodeView* node = situation.view.node(order.node);
  if (node == nullptr) return refused("there is no node " + order.node);
  if (order.node == situation.memory.primary) return refused(order.node + " is the primary");
  if (const Verdict can = cluster_can_take_one_more(situation); !can) return refused(can.why_not);
  if (const Verdict free = no_order_is_in_the_way(situation.memory, order.node); !free) return refused(free.why_not);
  if (const Verdict can = node_can_be_filled(situation, *node); !can) return refused(can.why_not);
  if (!order.objection.empty() && !is_filled_by_itself(situation, order.node)) return refused(order.objection);
  const std::string& primary = situation.memory.primary;
  return accepted(
      is_filled_by_itself(situation, order.node)
          ? "pgkeel is making " + order.node + " a standby of " + primary +
                " already, by itself (auto_rejoin); the order ends with that."
          : "the empty data directory of " + order.node + " is filled with a copy of " + primary +
                " (pg_basebackup), and started as its standby. A data directory that is not empty is not touched. " +
                primary +
                " writes a checkpoint, sends all its data, and keeps its WAL meanwhile. Clients notice nothing.");
}

void settle_provision(const Situation& situation, OperatorOrder& order, Decision& decision) {
  if (order.node == situation.memory.primary) return fail(order, order.node + " is the primary now");
  const NodeView* node = situation.view.node(order.node);
  if (node == nullptr) return fail(order, order.node + " is not configured any more");
  const NodeView* primary = situation.primary();
  if (situation.memory.phase != Phase::kSteady || primary == nullptr || !primary->answers_as_primary()) return;
  if (const auto out = situation.memory.nodes_maintained.find(order.node);
      out != situation.memory.nodes_maintained.end())
    return fail(order, order.node + " is " + tell_maintenance(out->second));

  const Instant since = order_since(situation, order);
  const ActionStatus* work = situation.current_action(ActionKind::kRejoin, order.node);
  const bool is_of_order = work != nullptr && work->started_at >= since;
  if (is_of_order && !work->running && work->succeeded) order.carried_out = true;
  const std::string how = work == nullptr || work->running || work->message.empty() ? "" : ": " + work->message;
  if (streams_from(*node, *primary)) {
    const Instant due = std::max(since, node->suspicion.since) + kSafetyPatience;
    const bool may_become_safe = !is_safe_or_never(situation, *node) && situation.now.instant < due;
    if (may_become_safe) {
      decision.decide_again_at = std::min(decision.decide_again_at, due);
      return;
    }
    return end_order(order, OrderState::kDone,
                     order.node + " streams from " + primary->name + safety_of(situation, order.node) + how);
  }
  if (is_of_order && !work->running && !work->succeeded) return fail(order, work->message);
  if (host_job_runs(situation, order.node)) return;
  const Instant waits_since = work == nullptr ? since : std::max(since, work->finished_at);
  const Instant due = waits_since + kStreamingPatience;
  if (situation.now.instant < due) {
    decision.decide_again_at = std::min(decision.decide_again_at, due);
    return;
  }
  const std::string patience = format_duration(kStreamingPatience);
  if (!node->local_doubt.empty()) return fail(order, node->local_doubt + "; give the order again when it does");
  fail(order, order.node + " does not stream from " + primary->name + " after " + patience + ": " +
                  (node->answers_as_standby() ? "its log says why" : why_not_known(*node)));
}

}  // namespace pgkeel
