#include "replication/decide/cutting_off.h"

#include <algorithm>
#include <utility>

#include "replication/decide/durability.h"
#include "replication/decide/election.h"
#include "replication/decide/retry.h"
#include "replication/decide/witness.h"
#include "replication/sync/sync_planner.h"

namespace pgkeel {

using namespace std::chrono_literals;

bool must_be_cut_off(const Situation& situation, const NodeView& standby, const Fenced& so_far) {
  const SyncQuorum& promise = situation.memory.promise;
  if (!safety_is_demanded(situation) || so_far.proven_stopped || !standby.answers_as_standby()) return false;
  // The fence is still under way, and may prove it stopped.
  const NodeView* old_primary = situation.primary();
  if (!so_far.done && old_primary != nullptr && old_primary->local) return false;
  // Where one position is enough each member holds every commit, and the promotion itself cuts the candidate off.
  const bool one_is_enough = positions_needed(promise) < 2 && witness_of_life(situation) == nullptr;
  return !one_is_enough && promise.contains(standby.name);
}

bool is_cut_off(const Situation& situation, const NodeView& standby) {
  const ActionStatus* cut = situation.current_action(ActionKind::kCutOff, standby.name);
  if (cut == nullptr || cut->running || !cut->succeeded) return false;
  const bool seen_since = standby.facts && standby.facts_at > cut->finished_at;
  return !(seen_since && standby.facts->wal_receiver_streaming);  // else somebody has pointed it somewhere again
}

bool is_better_cut_off(const Situation& situation, const NodeView& standby, const Fenced& so_far) {
  const ClusterMemory& memory = situation.memory;
  const bool others_acknowledge = positions_needed(memory.promise) >= 2 && memory.promise.contains(standby.name);
  if (!safety_is_demanded(situation) || !others_acknowledge || !standby.answers_as_standby()) return false;
  if (memory.phase == Phase::kPromoting) return standby.name != memory.candidate;
  // What its walreceiver still holds counts for the choice.
  const bool holds_nothing_more = standby.facts_at >= so_far.positions_since && !standby.facts->wal_receiver_streaming;
  return so_far.proven_stopped && holds_nothing_more && somebody_can_be_elected(situation);
}

namespace {

// One that was cut off, and streams nevertheless, is not cut off again before: the longer it has gone on, the longer is
// the pause.
Instant cut_off_not_before(const Situation& situation, const NodeView& standby) {
  const ActionStatus* cut = situation.current_action(ActionKind::kCutOff, standby.name);
  if (cut == nullptr || cut->running || !cut->succeeded) return Instant{};
  return cut->finished_at + std::clamp<Duration>(cut->finished_at - situation.view.phase_since, 1s, 60s);
}

// It was told to stop, and receives on: a walreceiver ends when recovery asks for more WAL, which it does once it has
// replayed what was received.
bool receives_on(const Situation& situation, const NodeView& standby) {
  const ActionStatus* cut = situation.current_action(ActionKind::kCutOff, standby.name);
  const NodeFacts& facts = *standby.facts;
  return cut != nullptr && cut->failures > 0 && facts.wal_receiver_streaming &&
         (facts.replay_paused || facts.replayed < facts.wal_position);
}

// … and has done so since: to be told that it is cut off need not wait for the pause after a failure.
bool has_ended_since(const Situation& situation, const NodeView& standby) {
  const ActionStatus* cut = situation.current_action(ActionKind::kCutOff, standby.name);
  return cut != nullptr && !cut->running && cut->failures > 0 && standby.facts_at > cut->finished_at &&
         !standby.facts->wal_receiver_streaming;
}

}  // namespace

void cut_off_standbys(const Situation& situation, const Fenced& so_far, Decision& decision) {
  for (const auto& node : situation.view.nodes) {
    const bool wanted = must_be_cut_off(situation, node, so_far) || is_better_cut_off(situation, node, so_far);
    if (!wanted || is_cut_off(situation, node)) continue;
    const ActionStatus* follow = situation.view.action(ActionKind::kFollow, node.name);
    if (follow != nullptr && follow->running) continue;  // both set where it receives from: one after the other
    Action action = make_action(ActionKind::kCutOff, node.name, situation.memory.epoch);
    const bool in_the_way = host_job_runs(situation, node.name) || host_job_starts(decision.actions, node.name);
    if (has_ended_since(situation, node) && !in_the_way) {
      decision.actions.push_back(std::move(action));
    } else if (const Instant due = cut_off_not_before(situation, node); situation.now.instant < due) {
      decision.decide_again_at = std::min(decision.decide_again_at, due);
    } else {
      start_action(situation, std::move(action), decision);
    }
  }
}

std::string tell_cut_off_in_vain(const Situation& situation, const Fenced& so_far) {
  std::string text;
  for (const auto& node : situation.view.nodes) {
    if (!must_be_cut_off(situation, node, so_far) || !receives_on(situation, node)) continue;
    text += "; " + node.name + " receives WAL until it has replayed what it has got already" +
            (node.facts->replay_paused ? ", and its replay is paused: pg_wal_replay_resume() ends that" : "");
  }
  return text;
}

}  // namespace pgkeel
