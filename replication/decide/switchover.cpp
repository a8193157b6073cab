#include "replication/decide/switchover.h"

#include <algorithm>
#include <tuple>

#include "replication/decide/candidate.h"
#include "replication/decide/collision.h"
#include "replication/decide/durability.h"
#include "replication/decide/election.h"
#include "replication/decide/failover.h"
#include "replication/decide/hearing.h"
#include "replication/decide/order_outcome.h"
#include "replication/decide/orders.h"
#include "replication/decide/retry.h"
#include "replication/decide/stop_and_start.h"

namespace pgkeel {
namespace {

using namespace std::chrono_literals;

// WAL that a standby may lack, or not have replayed, when a switchover begins: while it gets it clients wait.
constexpr std::uint64_t kLagBytesMax = 64U << 20;
// A shutdown that takes longer is a failure of the primary.
constexpr Duration kShutdownPatience = 30s;
// How long a standby may take to tell that it has what its primary sent it before it ended.
constexpr Duration kLastWalPatience = 2s;
// Before a standby that was made of the old primary, and does not stream, counts as failed.

std::string megabytes(std::uint64_t bytes) {
  return std::to_string(bytes >> 20) + " MB";
}

const WalSender* sender_to(const NodeView& primary, const std::string& standby) {
  const auto& senders = primary.facts->wal_senders;
  const auto found = std::ranges::find_if(senders, [&](const WalSender& sender) {
    return sender.application_name == standby && sender.state == "streaming";
  });
  return found == senders.end() ? nullptr : &*found;
}

std::uint64_t behind(Lsn ahead, Lsn position) {
  return ahead > position ? ahead.value - position.value : 0;
}

Verdict keeps_up(const NodeView& primary, const NodeView& standby) {
  const WalSender* sender = sender_to(primary, standby.name);
  if (sender == nullptr || !streams_from(standby, primary))
    return Verdict::no(standby.name + " does not stream from " + primary.name);
  const Lsn end = primary.facts->wal_position;
  if (behind(end, sender->flushed) > kLagBytesMax) {
    return Verdict::no(standby.name + " is " + megabytes(behind(end, sender->flushed)) + " of WAL behind " +
                       primary.name + "; wait until it has caught up to " + megabytes(kLagBytesMax));
  }
  if (behind(end, sender->replayed) > kLagBytesMax) {
    return Verdict::no(standby.name + " has " + megabytes(behind(end, sender->replayed)) +
                       " of WAL to replay, for which clients would have to wait; wait until it is down to " +
                       megabytes(kLagBytesMax));
  }
  return Verdict::good();
}

// A shutdown waits until every walsender has sent all of its WAL.
Verdict walsenders_keep_up(const NodeView& primary) {
  for (const auto& sender : primary.facts->wal_senders) {
    const bool counts = sender.state == "streaming" || sender.state == "catchup";
    const std::uint64_t lag = behind(primary.facts->wal_position, sender.sent);
    if (!counts || lag <= kLagBytesMax) continue;
    return Verdict::no(sender.application_name + ", which streams from " + primary.name + ", is " + megabytes(lag) +
                       " behind, and a shutdown of " + primary.name + " would wait for it; wait, or end its stream");
  }
  return Verdict::good();
}

Verdict primary_can_be_stopped(const NodeView& primary) {
  if (!primary.answers_as_primary()) return Verdict::no(why_not_known(primary));
  if (primary.local) return Verdict::good();
  if (!primary.local_doubt.empty())
    return Verdict::no("pgkeel cannot shut " + primary.name + " down: " + primary.local_doubt);
  return Verdict::no("pgkeel cannot shut " + primary.name +
                     " down: it is not on this host and has no agent; give it one (`agent` of the node), or use "
                     "`pgkeel failover`");
}

// In a failover it is promoted all the same. Here there is time to ask who paused it, and why.
Verdict may_take_over(const Situation& situation, const NodeView& standby) {
  const Verdict may = may_be_promoted(situation, standby);
  if (!may || !standby.facts->replay_paused) return may;
  return Verdict::no(standby.name + " has its replay paused (pg_wal_replay_resume() ends that)");
}

Verdict can_take_over(const Situation& situation, const NodeView& primary, const NodeView& standby) {
  if (const Verdict may = may_take_over(situation, standby); !may) return may;
  return keeps_up(primary, standby);
}

const NodeView* choose_standby(const Situation& situation, const OperatorOrder& order) {
  const NodeView* primary = situation.primary();
  if (primary == nullptr || !primary->answers_as_primary()) return nullptr;
  if (!order.node.empty()) return situation.view.node(order.node);
  const NodeView* best = nullptr;
  const auto rank = [](const NodeView& node) { return std::tuple(node.priority, node.facts->wal_position); };
  for (const auto& node : situation.view.nodes) {
    if (&node == primary || !can_take_over(situation, *primary, node)) continue;
    if (best == nullptr || rank(node) > rank(*best)) best = &node;
  }
  return best;
}

std::string why_nobody(const Situation& situation, const NodeView& primary) {
  std::string reasons;
  for (const auto& node : situation.view.nodes) {
    if (&node == &primary) continue;
    if (!reasons.empty()) reasons += "; ";
    reasons += can_take_over(situation, primary, node).why_not;
  }
  return reasons.empty() ? "there is no standby" : reasons;
}

Verdict switchover_is_possible(const Situation& situation, const OperatorOrder& order) {
  const ClusterMemory& memory = situation.memory;
  if (memory.phase == Phase::kUnadopted)
    return Verdict::no("pgkeel does not know the primary yet; see `pgkeel status`");
  if (memory.phase == Phase::kStopped) return Verdict::no("the cluster is stopped; `pgkeel start` starts it");
  if (memory.phase == Phase::kTornDown) return Verdict::no("the cluster is torn down");
  if (memory.phase != Phase::kSteady)
    return Verdict::no("the primary is being changed already (" + std::string(phase_name(memory.phase)) +
                       "); see `pgkeel status`");
  const NodeView* primary = situation.primary();
  if (primary == nullptr) return Verdict::no(why_not_configured(situation));
  if (situation.adoption_is_open()) return Verdict::no(why_not_adopted(situation));
  if (const Verdict alone = no_rival_primary(situation); !alone) return alone;
  if (const Verdict can = primary_can_be_stopped(*primary); !can) return can;
  if (primary->facts->synchronous_standby_names == kFencingStandbyName ||
      primary->facts->system_identifier != memory.system_identifier || primary->facts->timeline < memory.timeline)
    return Verdict::no("the access point does not lead to " + primary->name + " now; see `pgkeel status`");
  if (order.node == primary->name) return Verdict::no(order.node + " is the primary already");
  if (!order.node.empty()) {
    const NodeView* wanted = situation.view.node(order.node);
    if (wanted == nullptr) return Verdict::no("there is no node " + order.node);
    if (const Verdict can = can_take_over(situation, *primary, *wanted); !can) return can;
  } else if (choose_standby(situation, order) == nullptr) {
    return Verdict::no(why_nobody(situation, *primary));
  }
  if (const Verdict keep_up = walsenders_keep_up(*primary); !keep_up) return keep_up;
  return nothing_is_under_way(situation, order);
}

const ActionStatus* checkpoint_of(const Situation& situation, const OperatorOrder& order) {
  const ActionStatus* made = situation.current_action(ActionKind::kCheckpoint, situation.memory.primary);
  return made != nullptr && made->started_at >= order_since(situation, order) ? made : nullptr;
}

}  // namespace

OrderAnswer judge_switchover(const Situation& situation, const OperatorOrder& order) {
  if (const Verdict possible = switchover_is_possible(situation, order); !possible) return refused(possible.why_not);
  const std::string& from = situation.memory.primary;
  const std::string& to = choose_standby(situation, order)->name;
  return accepted(from + " is shut down cleanly and " + to + " promoted, then " + from + " becomes a standby of " + to +
                  "; nothing is lost. Open transactions have " + format_duration(situation.policy.drain_timeout) +
                  " to end; then every session ends with 57P01, at most once each. Clients that connect "
                  "meanwhile are held until " +
                  to + " takes writes. If something goes wrong before " + to + " is promoted, " + from +
                  " stays the primary.");
}

const OperatorOrder* switchover_under_way(const ClusterMemory& memory) {
  const OperatorOrder* order = running_order(memory, OrderKind::kSwitchover);
  return order != nullptr && order->carried_out ? order : nullptr;
}

const NodeView* switchover_to_begin(const Situation& situation) {
  const OperatorOrder* order = running_order(situation.memory, OrderKind::kSwitchover);
  if (order == nullptr || order->carried_out || not_heard_from_yet(situation) != nullptr) return nullptr;
  if (!switchover_is_possible(situation, *order)) return nullptr;
  const ActionStatus* checkpoint = checkpoint_of(situation, *order);
  if (checkpoint == nullptr || checkpoint->running || !checkpoint->succeeded) return nullptr;
  const NodeView* standby = choose_standby(situation, *order);
  const bool both_asked_since =
      standby->facts_at >= checkpoint->finished_at && situation.primary()->facts_at >= checkpoint->finished_at;
  return both_asked_since ? standby : nullptr;
}

std::string why_given_up(const Situation& situation) {
  const ClusterMemory& memory = situation.memory;
  if (running_order(memory, OrderKind::kStop) != nullptr) return why_stop_is_given_up(situation);
  if (situation.adoption_is_open()) return why_not_adopted(situation);
  const NodeView* primary = situation.primary();
  if (primary == nullptr) return memory.primary + " is not configured any more";
  const NodeView* standby = situation.view.node(memory.candidate);
  if (standby == nullptr) return memory.candidate + " is not configured any more";
  if (const auto rivals = rival_primaries(situation); !rivals.empty())
    return rivals.front()->name + " is a primary that pgkeel did not promote";
  if (standby->suspicion.failed()) return standby->name + " failed: " + standby->suspicion.evidence;
  if (standby->answering()) {
    if (const Verdict may = may_take_over(situation, *standby); !may) return may.why_not;
  }
  if (memory.phase != Phase::kDraining) return "";
  if (primary->suspicion.failed()) return primary->name + " failed: " + primary->suspicion.evidence;
  if (primary->answering() || !primary->local_doubt.empty()) {
    if (const Verdict can = primary_can_be_stopped(*primary); !can) return can.why_not;
  }
  const Duration patience = situation.policy.drain_timeout + 2 * situation.policy.failure_timeout;
  if (situation.now.instant < situation.view.phase_since + patience) return "";
  if (!primary->answers_as_primary()) return why_not_known(*primary);
  if (!standby->answers_as_standby()) return why_not_known(*standby);
  return keeps_up(*primary, *standby).why_not;
}

bool drain_is_over(const Situation& situation, Instant& again_at) {
  if (!why_given_up(situation).empty()) return false;
  const NodeView* primary = situation.primary();
  const Instant due = situation.view.phase_since + situation.policy.drain_timeout;
  const bool over = situation.view.route_drained || situation.now.instant >= due;
  if (!over) {
    again_at = std::min(again_at, due);
    return false;
  }
  const bool for_stop = running_order(situation.memory, OrderKind::kStop) != nullptr;
  if (for_stop) return primary->answers_as_primary() && not_heard_from_yet(situation) == nullptr;
  const NodeView* standby = situation.view.node(situation.memory.candidate);
  const bool ready =
      primary->answers_as_primary() && primary->local && standby->answers_as_standby() && keeps_up(*primary, *standby);
  if (!ready) {  // until why_given_up() says that it waited long enough
    again_at = std::min(again_at, due + 2 * situation.policy.failure_timeout);
    return false;
  }
  return not_heard_from_yet(situation) == nullptr;
}

Shutdown shutdown_of(const Situation& situation, Instant& again_at) {
  const std::string& name = situation.memory.primary;
  Shutdown result;
  const ActionStatus* stop = situation.current_action(ActionKind::kStopServer, name);
  if (stop == nullptr || stop->running) return result;
  if (!stop->succeeded) {
    const Instant due = situation.view.phase_since + kShutdownPatience;
    result.failed = situation.now.instant >= due;
    if (!result.failed) again_at = std::min(again_at, due);
    result.why_failed = name + " could not be shut down: " + stop->message;
    return result;
  }
  const NodeView* primary = situation.primary();
  if (stop->examination == std::nullopt) {
    result.unexamined = true;
    result.why_failed = name + ": " + stop->message;
    return result;
  }
  if (primary == nullptr || !stop->examination->proven_stopped) return result;
  if (primary->facts_at > stop->finished_at) return result;  // somebody started it: it is stopped again
  if (!stop->examination->shut_down_cleanly) {
    result.failed = true;
    result.why_failed = name + " crashed before it was shut down";
    return result;
  }
  result.clean = true;
  result.end_of_wal = stop->examination->end_of_wal;
  result.since = stop->finished_at;
  return result;
}

bool candidate_has_all(const Situation& situation, const Shutdown& shutdown) {
  const NodeView* standby = situation.view.node(situation.memory.candidate);
  return shutdown.clean && standby != nullptr && standby->answers_as_standby() && standby->facts_at >= shutdown.since &&
         may_be_promoted(situation, *standby) && standby->facts->wal_position >= shutdown.end_of_wal &&
         not_heard_from_yet(situation) == nullptr;
}

bool candidate_stays_behind(const Situation& situation, const Shutdown& shutdown, Instant& again_at) {
  if (!shutdown.clean || candidate_has_all(situation, shutdown)) return false;
  const Instant due = shutdown.since + kLastWalPatience;
  if (situation.now.instant >= due) return true;
  again_at = std::min(again_at, due);
  return false;
}

bool failover_may_follow(const Situation& situation) {
  const bool allowed = (situation.policy.mode == FailoverMode::kAutomatic || commits_are_kept(situation.policy)) &&
                       !situation.memory.maintenance;
  return allowed && !situation.adoption_is_open() && rival_primaries(situation).empty() &&
         not_heard_from_yet(situation) == nullptr && somebody_can_be_elected(situation);
}

bool primary_is_back(const Situation& situation) {
  const NodeView* primary = situation.primary();
  if (primary == nullptr || !primary->answers_as_primary()) return false;
  Instant since = situation.view.phase_since;
  const ActionStatus* stop = situation.current_action(ActionKind::kStopServer, primary->name);
  if (stop != nullptr) {
    if (stop->running) return false;
    since = std::max(since, stop->finished_at);
  }
  return primary->facts_at >= since && primary->facts->timeline >= situation.memory.timeline &&
         primary->facts->system_identifier == situation.memory.system_identifier &&
         hand_promotion(situation).node == nullptr;
}

void settle_switchover(const Situation& situation, OperatorOrder& order, Decision& decision) {
  const auto end = [&](OrderState state, std::string message) { end_order(order, state, std::move(message)); };
  const ClusterMemory& memory = situation.memory;
  if (memory.phase != Phase::kSteady) return;
  if (!order.carried_out) {
    if (too_early_to_judge(situation, decision.decide_again_at)) return;
    if (const Verdict possible = switchover_is_possible(situation, order); !possible)
      return end(OrderState::kFailed, possible.why_not);
    const ActionStatus* checkpoint = checkpoint_of(situation, order);
    if (checkpoint != nullptr && !checkpoint->running && !checkpoint->succeeded)
      end(OrderState::kFailed, "checkpoint " + memory.primary + ": " + checkpoint->message);
    return;
  }
  const std::string& old = order.primary_before;
  if (memory.primary == old) return end(OrderState::kFailed, memory.reason);
  const std::string promoted = memory.primary + " is the primary";
  const NodeView* primary = situation.primary();
  const NodeView* node = situation.view.node(old);
  if (node == nullptr) return end(OrderState::kDone, promoted + "; " + old + " is not configured any more");
  if (primary == nullptr || !primary->answers_as_primary()) return;
  const bool may_be_safe = commits_are_kept(situation.policy) && node->priority > 0;
  const bool is_safe = !may_be_safe || memory.promise.contains(old);
  if (streams_from(*node, *primary) && is_safe) {
    return end(OrderState::kDone,
               promoted + ", and " + old + " is a " + (may_be_safe ? "safe " : "") + "standby of it");
  }
  const ActionStatus* rejoin = situation.current_action(ActionKind::kRejoin, old);
  if (rejoin != nullptr && !rejoin->running && !rejoin->succeeded) {
    return end(OrderState::kFailed,
               promoted + ", but " + old + " could not be made a standby: " + rejoin->message + "; it is tried again");
  }
  if (rejoin == nullptr || rejoin->running) return;
  const Instant due = rejoin->finished_at + kStreamingPatience;
  if (situation.now.instant < due) {
    decision.decide_again_at = std::min(decision.decide_again_at, due);
  } else {
    end(OrderState::kFailed, promoted + ", but " + old + " is no " + (may_be_safe ? "safe " : "") +
                                 "standby of it after " + format_duration(kStreamingPatience) +
                                 "; `pgkeel status` and its log say why");
  }
}

}  // namespace pgkeel
