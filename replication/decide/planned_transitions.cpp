#include "replication/decide/planned_transitions.h"

#include "replication/decide/candidate.h"
#include "replication/decide/orders.h"
#include "replication/decide/stop_and_start.h"
#include "replication/decide/switchover.h"
#include "replication/decide/teardown.h"

namespace pgkeel {
namespace {

ClusterMemory given_up(const Situation& situation, Phase phase, const std::string& why) {
  ClusterMemory next = situation.memory;
  next.phase = phase;
  next.reason = (next.candidate.empty() ? "the stop" : "the switchover to " + next.candidate) + " is given up: " + why;
  next.candidate.clear();
  return next;
}

// The primary failed on the way: from here on it is a failover, and the order has not been carried out.
std::optional<ClusterMemory> fail_over(const Situation& situation, const std::string& why) {
  if (!failover_may_follow(situation)) return std::nullopt;
  if (best_candidate(situation)->facts_at < situation.view.phase_since) return std::nullopt;
  ClusterMemory next = situation.memory;
  next.phase = Phase::kFencing;
  next.epoch += 1;
  next.reason = why;
  next.candidate.clear();
  next.automatic_failovers.push_back(situation.now.wall);
  for (auto& order : next.orders) {
    if (order.kind != OrderKind::kSwitchover || order.state != OrderState::kRunning) continue;
    order.state = OrderState::kFailed;
    order.message = why + "; it goes on as a failover";
  }
  return next;
}

}  // namespace

std::optional<ClusterMemory> begin_switchover(const Situation& situation, Instant&) {
  const NodeView* standby = switchover_to_begin(situation);
  if (standby == nullptr) return std::nullopt;
  ClusterMemory next = situation.memory;
  next.phase = Phase::kDraining;
  next.candidate = standby->name;
  next.reason = "an operator ordered a switchover from " + next.primary + " to " + next.candidate + " (" +
                carry_out(next, OrderKind::kSwitchover).given_by + ")";
  return next;
}

std::optional<ClusterMemory> give_up_drain(const Situation& situation, Instant&) {
  const std::string why = why_given_up(situation);
  if (why.empty()) return std::nullopt;
  return given_up(situation, Phase::kSteady, why);
}

std::optional<ClusterMemory> end_drain(const Situation& situation, Instant& again_at) {
  if (situation.memory.candidate.empty() || !drain_is_over(situation, again_at)) return std::nullopt;
  ClusterMemory next = situation.memory;
  next.phase = Phase::kStopping;
  next.epoch += 1;
  next.reason = (situation.view.route_drained ? "no transaction is open" : "drain_timeout is over") +
                std::string(": ") + next.primary + " is shut down, to be followed by " + next.candidate;
  return next;
}

std::optional<ClusterMemory> begin_stop(const Situation& situation, Instant&) {
  if (!stop_may_begin(situation)) return std::nullopt;
  ClusterMemory next = situation.memory;
  next.phase = Phase::kDraining;
  next.reason = "an operator ordered a stop of the cluster (" + carry_out(next, OrderKind::kStop).given_by + ")";
  return next;
}

std::optional<ClusterMemory> end_drain_for_stop(const Situation& situation, Instant& again_at) {
  const OperatorOrder* order = running_order(situation.memory, OrderKind::kStop);
  if (order == nullptr || !drain_is_over(situation, again_at)) return std::nullopt;
  ClusterMemory next = situation.memory;
  next.phase = Phase::kStopped;
  next.epoch += 1;
  next.reason = "an operator stopped the cluster (" + order->given_by + ")";
  return next;
}

std::optional<ClusterMemory> begin_start(const Situation& situation, Instant&) {
  if (running_order(situation.memory, OrderKind::kStart) == nullptr) return std::nullopt;
  ClusterMemory next = situation.memory;
  next.phase = Phase::kReturning;
  next.epoch += 1;  // what was shut down in this one is started
  next.reason = "an operator starts the cluster (" + carry_out(next, OrderKind::kStart).given_by + ")";
  return next;
}

std::optional<ClusterMemory> promote_after_shutdown(const Situation& situation, Instant& again_at) {
  const Shutdown shutdown = shutdown_of(situation, again_at);
  if (!why_given_up(situation).empty() || !candidate_has_all(situation, shutdown)) return std::nullopt;
  ClusterMemory next = situation.memory;
  next.phase = Phase::kPromoting;
  next.reason = next.primary + " is shut down, and " + next.candidate + " has all of its WAL, up to " +
                format_lsn(shutdown.end_of_wal) + " of timeline " + std::to_string(next.timeline);
  return next;
}

std::optional<ClusterMemory> fail_over_from_stop(const Situation& situation, Instant& again_at) {
  const Shutdown shutdown = shutdown_of(situation, again_at);
  if (!shutdown.failed) return std::nullopt;
  return fail_over(situation, shutdown.why_failed);
}

std::optional<ClusterMemory> give_up_stop(const Situation& situation, Instant& again_at) {
  const ActionStatus* stop = situation.current_action(ActionKind::kStopServer, situation.memory.primary);
  if (stop != nullptr && stop->running) return std::nullopt;  // what is half shut down cannot be started
  const Shutdown shutdown = shutdown_of(situation, again_at);
  std::string why = why_given_up(situation);
  if (why.empty() && (shutdown.failed || shutdown.unexamined)) why = shutdown.why_failed;
  if (why.empty() && candidate_stays_behind(situation, shutdown, again_at)) {
    why = situation.memory.candidate + " has not received all that " + situation.memory.primary + " wrote, up to " +
          format_lsn(shutdown.end_of_wal);
  }
  if (why.empty()) return std::nullopt;
  return given_up(situation, Phase::kReturning, why);
}

std::optional<ClusterMemory> end_return(const Situation& situation, Instant&) {
  if (!primary_is_back(situation)) return std::nullopt;
  ClusterMemory next = situation.memory;
  next.phase = Phase::kSteady;
  next.promise = next.standby_names_in_force = {};  // it belonged to the epoch before
  next.reason += "; " + next.primary + " is the primary again";
  return next;
}

std::optional<ClusterMemory> fail_over_from_return(const Situation& situation, Instant&) {
  const NodeView* primary = situation.primary();
  if (primary == nullptr || primary_is_back(situation)) return std::nullopt;
  if (running_order(situation.memory, OrderKind::kStart) != nullptr) return std::nullopt;  // the same primary
  const ActionStatus* started = situation.current_action(ActionKind::kStartServer, primary->name);
  const bool cannot_start = started != nullptr && !started->running && started->failures > 0;
  const bool out_of_reach = !primary->local && primary->suspicion.failed();
  if (!cannot_start && !out_of_reach) return std::nullopt;
  return fail_over(situation,
                   primary->name + " could not be started again" + (cannot_start ? ": " + started->last_failure : ""));
}

std::optional<ClusterMemory> begin_teardown(const Situation& situation, Instant&) {
  if (!teardown_may_begin(situation)) return std::nullopt;
  ClusterMemory next = situation.memory;
  next.phase = Phase::kTornDown;
  next.epoch += 1;
  next.reason = "an operator tore the cluster down (" + carry_out(next, OrderKind::kTeardown).given_by + ")";
  next.promise = next.standby_names = next.standby_names_in_force = {};  // before commits are released from it
  return next;
}

}  // namespace pgkeel
