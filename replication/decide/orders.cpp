#include "replication/decide/orders.h"

#include <algorithm>
#include <cassert>

#include "replication/decide/candidate.h"
#include "replication/decide/collision.h"
#include "replication/decide/decide.h"
#include "replication/decide/durability.h"
#include "replication/decide/election.h"
#include "replication/decide/failover.h"
#include "replication/decide/hearing.h"
#include "replication/decide/maintenance.h"
#include "replication/decide/order_outcome.h"
#include "replication/decide/provision.h"
#include "replication/decide/retry.h"
#include "replication/decide/stop_and_start.h"
#include "replication/decide/switchover.h"
#include "replication/decide/teardown.h"
#include "replication/decide/witness.h"

namespace pgkeel {
namespace {

using namespace std::chrono_literals;

constexpr std::size_t kOrdersKept = 16;  // that have ended
constexpr const char* kCannotReachFiles = "pgkeel cannot reach its processes and files";

// ---- failover ------------------------------------------------------------------------------------------------------

// The candidate was told to promote, so another one needs proof that it is stopped; where nobody can give that, an
// operator may go on without.
Verdict candidate_may_be_replaced(const Situation& situation, const OperatorOrder& order) {
  const std::string& name = situation.memory.candidate;
  const NodeView* candidate = situation.view.node(name);
  const bool may_come = candidate != nullptr && (!candidate->suspicion.failed() || candidate->local);
  if (may_come || !situation.memory.abandoned_candidate.empty())
    return Verdict::no("a failover is under way: " + name + " is being promoted");
  if (order.accept_loss) return Verdict::good();
  return Verdict::no(name +
                     " failed while it was promoted, and nobody can prove that it is stopped: it may be primary, "
                     "and hold commits that no other node has");
}

Verdict failover_is_possible(const Situation& situation, const OperatorOrder& order) {
  const ClusterMemory& memory = situation.memory;
  if (memory.phase == Phase::kUnadopted)
    return Verdict::no("pgkeel does not know the primary yet; see `pgkeel status`");
  if (memory.phase == Phase::kPromoting) {
    if (const Verdict may = candidate_may_be_replaced(situation, order); !may) return may;
  }
  if (memory.phase == Phase::kStopped) return Verdict::no("the cluster is stopped; `pgkeel start` starts it");
  if (memory.phase == Phase::kTornDown) return Verdict::no("the cluster is torn down");
  if (is_planned(memory.phase) && running_order(memory, OrderKind::kStart) != nullptr)
    return Verdict::no("the cluster is being started; where " + memory.primary +
                       " cannot be started, start and promote a standby by hand, then `pgkeel serve --adopt NODE`");
  if (is_planned(memory.phase))
    return Verdict::no("a switchover is under way; it ends by itself, and becomes a failover where the primary fails");
  const NodeView* primary = situation.primary();
  if (primary == nullptr) return Verdict::no(why_not_configured(situation));
  if (situation.adoption_is_open()) return Verdict::no(why_not_adopted(situation));
  if (const HandPromotion promotion = hand_promotion(situation); promotion.node != nullptr)
    return Verdict::no(promotion.node->name +
                       " is a primary that pgkeel did not promote; end that with `pgkeel resolve`");
  if (!order.node.empty()) {
    const NodeView* wanted = situation.view.node(order.node);
    if (wanted == nullptr) return Verdict::no("there is no node " + order.node);
    if (wanted == primary && memory.phase == Phase::kSteady) return Verdict::no(order.node + " is the primary already");
    if (const Verdict may = may_be_promoted(situation, *wanted); !may) return may;
  }
  if (best_candidate(situation) == nullptr) return Verdict::no(why_no_candidate(situation));
  if (const Verdict possible = election_is_possible(situation); !possible) return possible;
  const NodeView* witness = order.accept_loss ? nullptr : witness_that_stays(situation);
  if (witness != nullptr) {
    return Verdict::no(witness->name + " still receives WAL from " + primary->name +
                       ": only the path from here is cut, and what it goes on taking would be lost");
  }
  return Verdict::good();
}

// WAL that the primary was last known to have flushed, and the candidate lacks.
std::optional<std::uint64_t> bytes_at_stake(const NodeView& primary, const NodeView& candidate) {
  const bool comparable =
      primary.facts && !primary.facts->in_recovery && primary.facts->timeline == candidate.facts->timeline;
  if (!comparable) return std::nullopt;
  const Lsn ahead = primary.facts->wal_position;
  const Lsn behind = candidate.facts->wal_position;
  return ahead > behind ? ahead.value - behind.value : 0;
}

std::string tell_what_it_lacks(const NodeView& primary, const NodeView& candidate) {
  const auto bytes = bytes_at_stake(primary, candidate);
  if (!bytes) return "how much WAL of " + primary.name + " " + candidate.name + " lacks is not known";
  return candidate.name + (candidate.facts->replays_own_wal ? " lacks at most " : " lacks ") + std::to_string(*bytes) +
         " bytes of WAL that " + primary.name + " was last known to have flushed (" +
         format_lsn(primary.facts->wal_position) + ")";
}

OrderAnswer judge_failover(const Situation& now, OperatorOrder order) {
  const ClusterMemory with_order = accept_order(now.memory, order);
  const Situation situation{now.view, with_order, now.policy, now.now};
  if (const Verdict possible = failover_is_possible(situation, order); !possible) {
    if (order.accept_loss) return refused(possible.why_not);
    order.accept_loss = true;
    const ClusterMemory with_loss = accept_order(now.memory, order);
    const Situation accepting{now.view, with_loss, now.policy, now.now};
    if (!failover_is_possible(accepting, order)) return refused(possible.why_not);
    return refused(possible.why_not + "; --accept-loss promotes nevertheless: " +
                   tell_what_it_lacks(*situation.primary(), *best_candidate(accepting)));
  }
  const NodeView& primary = *situation.primary();
  const NodeView& candidate = *best_candidate(situation);
  const bool lives = primary.answers_as_primary();
  std::string text =
      lives ? primary.name + " lives: it is cut off now, without a shutdown. " : why_not_known(primary) + ". ";
  const std::string& given_up = situation.memory.candidate;
  if (!given_up.empty())
    text += given_up + " was told to promote, and is given up: what only it has is set aside when it is back. ";
  text += "Every client session ends with 57P01; clients that connect are held until " + candidate.name +
          " takes writes" +
          (order.node.empty() || order.node == candidate.name
               ? ""
               : " (it has more WAL than " + order.node + ", as far as is known now)") +
          ". ";
  if (safety_is_demanded(situation)) {
    text += "No acknowledged commit is lost: " + candidate.name + " is a safe standby.";
  } else {
    text += "At stake: " + tell_what_it_lacks(primary, candidate) +
            (lives ? "; what is written until it is cut off comes on top." : ".");
  }
  OrderAnswer answer = accepted(text);
  answer.bytes_at_stake = bytes_at_stake(primary, candidate);
  return answer;
}

// ---- rejoin --------------------------------------------------------------------------------------------------------

OrderAnswer judge_rejoin(const Situation& situation, const OperatorOrder& order) {
  const ClusterMemory& memory = situation.memory;
  const NodeView* node = situation.view.node(order.node);
  if (node == nullptr) return refused("there is no node " + order.node);
  if (order.node == memory.primary) return refused(order.node + " is the primary");
  if (memory.phase != Phase::kSteady) return refused("the cluster has no primary now; see `pgkeel status`");
  const NodeView* primary = situation.primary();
  if (primary == nullptr || !primary->answers_as_primary())
    return refused(memory.primary + ", the primary, does not answer: there is nothing to be a standby of");
  if (is_out(memory, order.node))
    return refused(order.node + " is under maintenance; `pgkeel maintenance off` takes it back");
  for (const OrderKind same : {OrderKind::kRejoin, OrderKind::kProvision}) {
    if (const OperatorOrder* other = running_order(memory, same, order.node))
      return refused("order " + std::to_string(other->id) + " does that already");
  }
  if (situation.is_of_another_cluster(*node)) {
    return refused(node->name + " " + tell_other_cluster(*node) +
                   ", and that server is not touched: stop it and put its data directory elsewhere; then `pgkeel "
                   "provision` fills an empty one");
  }
  if (const auto rivals = rival_primaries(situation); !rivals.empty()) {
    return refused(rivals.front()->name + " is a primary beside " + primary->name +
                   "; end the collision with `pgkeel resolve` first");
  }
  if (!node->local && (order.rebuild || !node->answers_as_standby())) {
    return refused(std::string(kCannotReachFiles) + (node->local_doubt.empty() ? "" : ": " + node->local_doubt) +
                   "; rebuild " + order.node + " by hand, as a standby of " + memory.primary);
  }
  if (order.rebuild) {
    return accepted(order.node + " is stopped and made anew as a copy of " + memory.primary +
                    "; its old data directory is " +
                    (order.discard_old_data ? "removed where it holds nothing that the cluster lacks, else " : "") +
                    "kept beside the new one. Until it streams again it cannot replace " + memory.primary + ".");
  }
  return accepted(order.node + " is made a standby of " + memory.primary +
                  ", by start, rewind or rebuild, whatever that takes; what it alone has is set aside first. Clients "
                  "notice nothing.");
}

// ---- resolve -------------------------------------------------------------------------------------------------------

OrderAnswer judge_resolve(const Situation& situation, const OperatorOrder& order) {
  const ClusterMemory& memory = situation.memory;
  const NodeView* node = situation.view.node(order.node);
  if (node == nullptr) return refused("there is no node " + order.node);
  if (memory.phase == Phase::kPromoting)
    return refused("a failover is under way: " + memory.candidate + " is being promoted");
  if (is_planned(memory.phase)) return refused("a switchover is under way; wait for its end");
  if (situation.adoption_is_open()) return refused(why_not_adopted(situation));
  if (const OperatorOrder* other = running_order(memory, OrderKind::kResolve))
    return refused("order " + std::to_string(other->id) + " is still ending a collision");
  if (decide(situation.view, memory, situation.policy, situation.now).condition != Condition::kCollision)
    return refused("nothing collides");
  if (!node->answers_as_primary()) {
    return refused(order.node + " does not answer as a primary: start it as one, or keep the history of another");
  }
  if (situation.is_of_another_cluster(*node)) return refused(order.node + " " + tell_other_cluster(*node));
  std::vector<std::string> others;
  for (const auto& other : situation.view.nodes) {
    if (&other == node || situation.is_of_another_cluster(other)) continue;
    if (other.answers_as_primary() || other.name == memory.primary) others.push_back(other.name);
  }
  const std::string names = join_names(others);
  return accepted((order.node == memory.primary
                       ? "The route stays at " + order.node
                       : "Every client session ends with 57P01, and the route moves to " + order.node) +
                  ". What only " + names + (others.size() == 1 ? " has" : " have") +
                  " is lost to the cluster: it is set aside before " + (others.size() == 1 ? "it is" : "they are") +
                  " made " + (others.size() == 1 ? "a standby of " : "standbys of ") + order.node + ".");
}

// ---- how orders end ------------------------------------------------------------------------------------------------

class Settlement {
 public:
  Settlement(const Situation& situation, Decision& decision) : situation_(situation), decision_(decision) {}

  void run() {
    for (auto& order : decision_.next.orders) {
      if (order.state != OrderState::kRunning) continue;
      switch (order.kind) {
        case OrderKind::kFailover:
          failover(order);
          break;
        case OrderKind::kRejoin:
          rejoin(order);
          break;
        case OrderKind::kResolve:
          resolve(order);
          break;
        case OrderKind::kSwitchover:
          settle_switchover(situation_, order, decision_);
          break;
        case OrderKind::kMaintenance:
          settle_maintenance(situation_, order);
          break;
        case OrderKind::kStop:
          settle_stop(situation_, order, decision_);
          break;
        case OrderKind::kStart:
          settle_start(situation_, order, decision_);
          break;
        case OrderKind::kTeardown:
          settle_teardown(situation_, order, decision_);
          break;
        case OrderKind::kProvision:
          settle_provision(situation_, order, decision_);
          break;
      }
    }
  }

 private:
  void failover(OperatorOrder& order) {
    if (situation_.memory.phase != Phase::kSteady) return;
    const std::string& primary = situation_.memory.primary;
    if (order.carried_out && primary != order.primary_before) return done(order, primary + " is the primary");
    if (order.carried_out) return failed(order, situation_.memory.reason);
    if (primary != order.primary_before) return failed(order, primary + " is the primary now");
    // Before its transition: pgkeel was restarted, or something changed in the very moment.
    if (too_early_to_judge(situation_, decision_.decide_again_at)) return;
    if (const Verdict possible = failover_is_possible(situation_, order); !possible) failed(order, possible.why_not);
  }

  void rejoin(OperatorOrder& order) {
    if (order.node == situation_.memory.primary) return failed(order, order.node + " is the primary now");
    const NodeView* node = situation_.view.node(order.node);
    if (node == nullptr) return failed(order, order.node + " is not configured any more");
    const NodeView* primary = situation_.primary();
    if (situation_.memory.phase != Phase::kSteady || primary == nullptr || !primary->answers_as_primary()) return;
    const ActionStatus* work = newest_since(order, ActionKind::kRejoin);
    if (work != nullptr && work->succeeded && work->action.ordered) order.carried_out = true;
    const bool work_is_left = order.rebuild && !order.carried_out;
    if (!work_is_left && streams_from(*node, *primary)) {
      return done(order, order.node + " streams from " + primary->name +
                             (work == nullptr || work->message.empty() ? "" : ": " + work->message));
    }
    for (const ActionKind kind : {ActionKind::kRejoin, ActionKind::kFollow, ActionKind::kFence}) {
      const ActionStatus* status = newest_since(order, kind);
      if (status != nullptr && !status->succeeded)
        return failed(order, std::string(action_name(kind)) + ": " + status->message);
    }
    Instant waits_since = order_since(situation_, order);
    for (const ActionKind kind : {ActionKind::kRejoin, ActionKind::kFollow}) {
      if (const ActionStatus* status = situation_.current_action(kind, order.node); status != nullptr) {
        if (status->running) return;
        waits_since = std::max(waits_since, status->finished_at);
      }
    }
    const Instant due = waits_since + kStreamingPatience;
    if (situation_.now.instant >= due) {
      failed(order, order.node + " does not stream from " + primary->name + " after " +
                        format_duration(kStreamingPatience) + "; its log says why");
    } else {
      decision_.decide_again_at = std::min(decision_.decide_again_at, due);
    }
  }

  void resolve(OperatorOrder& order) {
    if (!order.carried_out) {
      const NodeView* node = situation_.view.node(order.node);
      const bool waits =
          node != nullptr && (node->answers_as_primary() || node->suspicion.liveness == Liveness::kUnknown ||
                              not_heard_from_yet(situation_) != nullptr);
      if (!waits) failed(order, order.node + " does not answer as a primary any more");
      return;
    }
    if (situation_.memory.primary != order.node)
      return failed(order, situation_.memory.primary + " is the primary now");
    std::vector<std::string> left;
    for (const auto& [name, memory] : situation_.memory.nodes) {
      const NodeView* node = situation_.view.node(name);
      if (!memory.superseded || node == nullptr) continue;
      const ActionStatus* work = newest_since(order, ActionKind::kRejoin, name);
      if (work != nullptr && !work->succeeded)
        return failed(order, name + " could not be made a standby: " + work->message);
      if (node->local && situation_.policy.auto_rejoin) return;  // it is worked on
      left.push_back(name);
    }
    const std::string route = "the history of " + order.node + " stays";
    if (left.empty()) return done(order, route + ", and the others are standbys of it");
    done(order, route + "; " + join_names(left) +
                    (situation_.policy.auto_rejoin ? std::string(": ") + kCannotReachFiles +
                                                         "; shut it down and rebuild it as a standby of " + order.node
                                                   : ": auto_rejoin is off; `pgkeel rejoin` makes it a standby"));
  }

  // The newest run of this action, where it began since the order was given, and has ended.
  [[nodiscard]] const ActionStatus* newest_since(const OperatorOrder& order, ActionKind kind,
                                                 const std::string& node = "") const {
    const ActionStatus* status = situation_.current_action(kind, node.empty() ? order.node : node);
    return status != nullptr && !status->running && status->started_at >= order_since(situation_, order) ? status
                                                                                                         : nullptr;
  }

  static void done(OperatorOrder& order, std::string message) {
    end_order(order, OrderState::kDone, std::move(message));
  }
  static void failed(OperatorOrder& order, std::string message) {
    end_order(order, OrderState::kFailed, std::move(message));
  }

  const Situation& situation_;
  Decision& decision_;
};

}  // namespace

const OperatorOrder* running_order(const ClusterMemory& memory, OrderKind kind, const std::string& node) {
  for (const auto& order : memory.orders) {
    if (order.state == OrderState::kRunning && order.kind == kind && (node.empty() || order.node == node))
      return &order;
  }
  return nullptr;
}

Verdict nothing_is_under_way(const Situation& situation, const OperatorOrder& order) {
  for (const auto& node : situation.view.nodes) {
    if (!host_job_runs(situation, node.name)) continue;
    return Verdict::no("work on " + node.name + " is under way; see `pgkeel status`, and wait for its end");
  }
  for (const auto& other : situation.memory.orders) {
    if (other.state != OrderState::kRunning || other.id == order.id) continue;
    return Verdict::no("order " + std::to_string(other.id) + " (" + order_name(other.kind) + ") is under way");
  }
  return Verdict::good();
}

Instant order_since(const Situation& situation, const OperatorOrder& order) {
  const auto seen = situation.view.orders_since.find(order.id);
  return seen == situation.view.orders_since.end() ? situation.now.instant : seen->second;
}

OrderAnswer judge_order(const Situation& situation, const OperatorOrder& order) {
  switch (order.kind) {
    case OrderKind::kFailover:
      return judge_failover(situation, order);
    case OrderKind::kRejoin:
      return judge_rejoin(situation, order);
    case OrderKind::kResolve:
      return judge_resolve(situation, order);
    case OrderKind::kSwitchover:
      return judge_switchover(situation, order);
    case OrderKind::kMaintenance:
      return judge_maintenance(situation, order);
    case OrderKind::kStop:
      return judge_stop(situation, order);
    case OrderKind::kStart:
      return judge_start(situation);
    case OrderKind::kTeardown:
      return judge_teardown(situation, order);
    case OrderKind::kProvision:
      return judge_provision(situation, order);
  }
  return refused("unknown order");
}

ClusterMemory accept_order(const ClusterMemory& memory, OperatorOrder order) {
  ClusterMemory next = memory;
  order.id = ++next.orders_given;
  order.state = OrderState::kRunning;
  order.primary_before = memory.primary;
  if (order.kind == OrderKind::kFailover) {
    for (auto& other : next.orders) {
      const bool same_aim = other.kind == OrderKind::kFailover || other.kind == OrderKind::kSwitchover;
      if (!same_aim || other.state != OrderState::kRunning) continue;
      other.state = OrderState::kFailed;
      other.message = "order " + std::to_string(order.id) + " takes its place";
    }
    order.carried_out = memory.phase == Phase::kFencing;  // one is under way already: this says how it may end
  }
  if (order.kind == OrderKind::kMaintenance) apply_maintenance(order, next);
  next.orders.push_back(std::move(order));
  const auto ended = [](const OperatorOrder& each) { return each.state != OrderState::kRunning; };
  while (static_cast<std::size_t>(std::ranges::count_if(next.orders, ended)) > kOrdersKept)
    next.orders.erase(std::ranges::find_if(next.orders, ended));
  return next;
}

OperatorOrder& carry_out(ClusterMemory& next, OrderKind kind) {
  const auto found = std::ranges::find_if(next.orders, [&](const OperatorOrder& order) {
    return order.kind == kind && order.state == OrderState::kRunning && !order.carried_out;
  });
  assert(found != next.orders.end());
  found->carried_out = true;
  return *found;
}

const OperatorOrder* failover_ordered(const Situation& situation) {
  const OperatorOrder* order = running_order(situation.memory, OrderKind::kFailover);
  if (order == nullptr || order->carried_out || not_heard_from_yet(situation) != nullptr) return nullptr;
  if (!failover_is_possible(situation, *order)) return nullptr;
  // The primary may live: it is not cut off before it is sure, now, that somebody can take its place.
  return best_candidate(situation)->facts_at >= order_since(situation, *order) ? order : nullptr;
}

const NodeView* resolution_ordered(const Situation& situation) {
  const OperatorOrder* order = running_order(situation.memory, OrderKind::kResolve);
  if (order == nullptr || order->carried_out) return nullptr;
  const NodeView* node = situation.view.node(order->node);
  const bool may_be_kept = node != nullptr && node->answers_as_primary() && !situation.is_of_another_cluster(*node);
  return may_be_kept ? node : nullptr;
}

bool loss_is_accepted(const Situation& situation) {
  const OperatorOrder* order = running_order(situation.memory, OrderKind::kFailover);
  return order != nullptr && order->accept_loss;
}

void settle_orders(const Situation& situation, Decision& decision) {
  Settlement(situation, decision).run();
  put_state_away(decision.next);
}

}  // namespace pgkeel
