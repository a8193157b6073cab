#include "replication/decide/switchover_steps.h"

#include <algorithm>

#include "replication/decide/candidate.h"
#include "replication/decide/collision.h"
#include "replication/decide/durability.h"
#include "replication/decide/failover.h"
#include "replication/decide/hearing.h"
#include "replication/decide/orders.h"
#include "replication/decide/retry.h"
#include "replication/decide/switchover.h"

namespace pgkeel {
namespace {

using namespace std::chrono_literals;

constexpr Duration kAskStepAgainPause = 500ms;
constexpr Duration kAnswerPause = 50ms;            // between questions to a server that was just started
constexpr Duration kSwitchoverStartPatience = 5s;  // before one that does not answer is started again
constexpr Duration kCloseWatch = 10ms;             // of the candidate, once the primary has ended

void start(const Situation& situation, ActionKind kind, const std::string& node, Decision& decision) {
  start_action(situation, make_action(kind, node, situation.memory.epoch), decision);
}

void ask_since(const Situation& situation, const NodeView& node, Instant since, Duration pause, Decision& decision) {
  if (node.facts_at < since) ask(situation, node, pause, decision);
}

void is_switching_over(Decision& decision, RouteMode mode, const std::string& summary, const std::string& reason) {
  const bool stops_or_starts = running_order(decision.next, OrderKind::kStop) != nullptr ||
                               running_order(decision.next, OrderKind::kStart) != nullptr;
  decision.condition = stops_or_starts ? Condition::kStopped : Condition::kSwitchingOver;
  decision.summary = summary;
  decision.route_mode = mode;
  decision.route_reason = reason;
}

std::string tell_move(const ClusterMemory& memory) {
  if (running_order(memory, OrderKind::kStop) != nullptr) return "stop of the cluster";
  return "switchover from " + memory.primary + (memory.candidate.empty() ? "" : " to " + memory.candidate);
}

}  // namespace

void prepare_switchover(const Situation& situation, Decision& decision) {
  const OperatorOrder* order = running_order(decision.next, OrderKind::kSwitchover);
  const NodeView* primary = situation.primary();
  if (order == nullptr || order->carried_out || primary == nullptr || !primary->answers_as_primary()) return;
  if (not_heard_from_yet(situation) != nullptr) return;
  const ActionStatus* made = situation.current_action(ActionKind::kCheckpoint, primary->name);
  if (made == nullptr || (!made->running && made->started_at < order_since(situation, *order)))
    return start(situation, ActionKind::kCheckpoint, primary->name, decision);
  if (made->running || !made->succeeded) return;
  for (const auto& node : situation.view.nodes) {
    if (node.answering()) ask_since(situation, node, made->finished_at, kAskStepAgainPause, decision);
  }
}

void judge_draining(const Situation& situation, Decision& decision) {
  const ClusterMemory& memory = situation.memory;
  is_switching_over(decision, RouteMode::kDraining,
                    tell_move(memory) + ": open transactions have " + format_duration(situation.policy.drain_timeout) +
                        " to end, clients that connect are held",
                    "a " + tell_move(memory) + " is under way");
  if (!memory.opens_when_commits_wait) decision.route_node = memory.primary;
  enforce_durability(situation, decision);  // open transactions do not hang on a standby that stops
  for (const auto& node : situation.view.nodes) {
    if (node.answering()) ask_since(situation, node, situation.view.phase_since, kAskStepAgainPause, decision);
  }
  const Instant patience_over =
      situation.view.phase_since + situation.policy.drain_timeout + 2 * situation.policy.failure_timeout;
  if (situation.now.instant < patience_over)
    decision.decide_again_at = std::min(decision.decide_again_at, patience_over);
}

void judge_stopping(const Situation& situation, Decision& decision) {
  const ClusterMemory& memory = situation.memory;
  is_switching_over(decision, RouteMode::kMoving, tell_move(memory) + ": " + memory.primary + " is being shut down",
                    "a " + tell_move(memory) + " is under way");
  // Until the last worker has closed the route clients go on writing, and would have the server's error, not ours.
  const bool closed = situation.view.route_epoch_applied == memory.epoch && situation.view.route_closed;
  if (!closed) return;
  const Shutdown shutdown = shutdown_of(situation, decision.decide_again_at);
  if (!shutdown.clean) return start(situation, ActionKind::kStopServer, memory.primary, decision);
  decision.summary =
      tell_move(memory) + ": " + memory.primary + " is shut down, its WAL ends at " + format_lsn(shutdown.end_of_wal);
  const NodeView* standby = situation.view.node(memory.candidate);
  if (standby == nullptr || !standby->answering()) return;
  const bool lacks = standby->facts_at < shutdown.since || standby->facts->wal_position < shutdown.end_of_wal;
  if (!lacks) return;
  const Instant due = std::max(standby->facts_at, shutdown.since) + kCloseWatch;
  if (standby->facts_at < shutdown.since || situation.now.instant >= due)
    return ask(situation, *standby, kCloseWatch, decision);
  decision.decide_again_at = std::min(decision.decide_again_at, due);
}

void judge_returning(const Situation& situation, Decision& decision) {
  const ClusterMemory& memory = situation.memory;
  is_switching_over(decision, RouteMode::kMoving, memory.reason + "; " + memory.primary + " is started again",
                    memory.reason);
  const NodeView* primary = situation.primary();
  if (primary == nullptr) {
    decision.summary += "; it is not configured any more: choose with `pgkeel serve --adopt NODE`";
    return;
  }
  const HandPromotion promotion = hand_promotion(situation);
  if (promotion.node != nullptr) {  // what it has taken must not be written past
    decision.condition = Condition::kCollision;
    decision.summary = memory.reason + "; " + promotion.safe.why_not;
    if (promotion.examine_old_primary) start(situation, ActionKind::kExamine, primary->name, decision);
    decision.decide_again_at = std::min(decision.decide_again_at, promotion.examine_again_at);
    return;
  }
  if (situation.adoption_is_open()) {
    decision.summary = memory.reason + "; " + why_not_adopted(situation);
    return;
  }
  const ActionStatus* stop = situation.current_action(ActionKind::kStopServer, primary->name);
  const bool answers_still = primary->answering() && (stop == nullptr || primary->facts_at > stop->finished_at);
  if (answers_still) return ask_since(situation, *primary, situation.view.phase_since, kAskStepAgainPause, decision);
  const ActionStatus* started = situation.current_action(ActionKind::kStartServer, primary->name);
  if (started != nullptr && started->failures > 0) decision.summary += ": " + started->last_failure;
  if (started != nullptr && !started->running && started->succeeded) {
    const Instant due = started->finished_at + kSwitchoverStartPatience;
    if (situation.now.instant < due) {  // it accepts connections: its first answer is all that is missing
      decision.decide_again_at = std::min(decision.decide_again_at, due);
      return ask(situation, *primary, kAnswerPause, decision);
    }
  }
  if (!primary->local) return;
  Action action = make_action(ActionKind::kStartServer, primary->name, memory.epoch);
  action.ordered = true;
  start_action(situation, std::move(action), decision);
}

}  // namespace pgkeel
