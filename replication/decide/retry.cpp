#include "replication/decide/retry.h"

#include <algorithm>
#include <utility>

namespace pgkeel {

using namespace std::chrono_literals;

Duration retry_pause(ActionKind kind, std::uint32_t failures) {
  const bool clients_wait = kind == ActionKind::kPromote || kind == ActionKind::kSetStandbyNames;
  const Duration longest = kind == ActionKind::kRejoin ? Duration(10min) : clients_wait ? Duration(10s) : Duration(60s);
  const bool is_urgent = kind == ActionKind::kCutOff || clients_wait;
  Duration pause = is_urgent ? Duration(250ms) : Duration(1s);
  for (std::uint32_t i = 1; i < failures && pause < longest; ++i) pause *= 2;
  return std::min(pause, longest);
}

namespace {
// What is wanted now was not tried yet: what failed was of an earlier epoch, or another setting that was ordered
// before.
bool is_newly_wanted(const Situation& situation, const ActionStatus& last) {
  const ClusterMemory& memory = situation.memory;
  return last.action.epoch != memory.epoch || (last.action.kind == ActionKind::kSetStandbyNames &&
                                               last.action.standby_names_order != memory.standby_names_order);
}
}  // namespace

bool rejoin_is_given_up(const Situation& situation, const std::string& node) {
  const ActionStatus* rejoin = situation.current_action(ActionKind::kRejoin, node);
  return rejoin != nullptr && !rejoin->running && rejoin->copies >= kMostCopies;
}

bool may_start(const Situation& situation, ActionKind kind, const std::string& node, Instant& again_at) {
  const ActionStatus* status = situation.view.action(kind, node);
  if (status == nullptr) return true;
  if (status->running) return false;
  if (is_newly_wanted(situation, *status) || status->failures == 0) return true;
  if (kind == ActionKind::kRejoin && rejoin_is_given_up(situation, node)) return false;
  const Instant due = status->finished_at + retry_pause(kind, status->failures);
  if (situation.now.instant >= due) return true;
  again_at = std::min(again_at, due);
  return false;
}

void ask(const Situation& situation, const NodeView& node, Duration pause, Decision& decision) {
  const bool is_asked = std::ranges::any_of(decision.actions, [&](const Action& action) {
    return action.kind == ActionKind::kProbe && action.node == node.name;
  });
  if (is_asked) return;  // for another reason
  const ActionStatus* asked = situation.view.action(ActionKind::kProbe, node.name);
  if (asked != nullptr && asked->started_at >= node.facts_at) {
    const Instant due = asked->started_at + pause;
    if (situation.now.instant < due) {
      decision.decide_again_at = std::min(decision.decide_again_at, due);
      return;
    }
  }
  if (!may_start(situation, ActionKind::kProbe, node.name, decision.decide_again_at)) return;
  decision.actions.push_back(make_action(ActionKind::kProbe, node.name, situation.memory.epoch));
}

namespace {
bool is_host_job(ActionKind kind) {
  return kind == ActionKind::kFence || kind == ActionKind::kRejoin || kind == ActionKind::kStartServer ||
         kind == ActionKind::kExamine || kind == ActionKind::kStopServer;
}
}  // namespace

bool host_job_runs(const Situation& situation, const std::string& node) {
  return std::ranges::any_of(situation.view.actions, [&](const ActionStatus& status) {
    return status.running && status.action.node == node && is_host_job(status.action.kind);
  });
}

bool is_breakable(const ActionStatus& job) {
  return job.running && (job.action.kind == ActionKind::kRejoin || job.action.kind == ActionKind::kStartServer);
}

bool breakable_job_runs(const Situation& situation, const std::string& node) {
  return std::ranges::any_of(situation.view.actions, [&](const ActionStatus& status) {
    return status.action.node == node && is_breakable(status);
  });
}

bool host_job_starts(const std::vector<Action>& actions, const std::string& node) {
  return std::ranges::any_of(actions,
                             [&](const Action& action) { return action.node == node && is_host_job(action.kind); });
}

void start_action(const Situation& situation, Action action, Decision& decision) {
  const bool in_the_way = host_job_runs(situation, action.node) || host_job_starts(decision.actions, action.node);
  if (action.kind != ActionKind::kProbe && in_the_way) return;
  if (may_start(situation, action.kind, action.node, decision.decide_again_at))
    decision.actions.push_back(std::move(action));
}

}  // namespace pgkeel
