#include "replication/decide/failover.h"

#include <algorithm>

#include "replication/decide/candidate.h"
#include "replication/decide/cutting_off.h"
#include "replication/decide/durability.h"
#include "replication/decide/election.h"
#include "replication/decide/hearing.h"
#include "replication/decide/orders.h"
#include "replication/decide/witness.h"
#include "replication/sync/sync_planner.h"

namespace pgkeel {

using namespace std::chrono_literals;

namespace {

// How long a standby that answers is waited for with its position, once another one has told its own.
constexpr Duration kPositionPatience = 1s;
// Before a node that was found running is examined again.
constexpr Duration kExaminePause = 1s;

std::vector<const NodeView*> primaries(const Situation& situation) {
  std::vector<const NodeView*> found;
  for (const auto& node : situation.view.nodes) {
    if (node.answers_as_primary() && !situation.is_of_another_cluster(node)) found.push_back(&node);
  }
  return found;
}

// First start: who is missing, and what to do about it. Empty: nobody.
std::string why_incomplete(const Situation& situation) {
  std::vector<std::string> unheard;
  std::vector<std::string> silent;
  std::string tells_nothing;
  for (const auto& node : situation.view.nodes) {
    if (node.answering()) continue;
    const Suspicion& suspicion = node.suspicion;
    if (suspicion.liveness == Liveness::kUnknown && suspicion.trouble.empty()) {
      unheard.push_back(node.name);
    } else if (suspicion.failed()) {
      silent.push_back(node.name);
    } else {
      tells_nothing += why_not_known(node) + "; ";
    }
  }
  const auto say = [](const std::vector<std::string>& names, const char* one, const char* many) {
    return join_names(names) + (names.size() == 1 ? one : many);
  };
  const std::string no_state = "there is no state of an earlier run";
  const std::string or_choose = ", or choose the primary with `pgkeel serve --adopt NODE`";
  if (!silent.empty()) {
    return tells_nothing + say(silent, " does", " do") + " not answer, and " + no_state + "; start " +
           (silent.size() == 1 ? "it" : "them") + or_choose;
  }
  if (!tells_nothing.empty()) return tells_nothing + no_state + "; mend that" + or_choose;
  if (!unheard.empty()) return say(unheard, " has", " have") + " not answered yet, and " + no_state;
  return "";
}

}  // namespace

Verdict pause_is_over(const Situation& situation) {
  if (situation.memory.automatic_failovers.empty()) return Verdict::good();
  const Duration since_last = situation.now.wall - situation.memory.automatic_failovers.back();
  if (since_last < Duration::zero() || since_last >= situation.policy.failover_pause) return Verdict::good();
  return Verdict::no("failover_pause (" + format_duration(situation.policy.failover_pause) +
                     ") is not over since the last automatic failover");
}

Verdict failover_is_due(const Situation& situation) {
  const NodeView* primary = situation.primary();
  if (primary == nullptr) return Verdict::no("the primary is not configured any more");
  if (!primary->suspicion.failed()) return Verdict::no(primary->name + " has not failed");
  if (situation.memory.maintenance)
    return Verdict::no("the cluster is under maintenance (`pgkeel maintenance off` ends that)");
  if (situation.policy.mode == FailoverMode::kManual) return Verdict::no("failover is manual");
  if (situation.adoption_is_open()) return Verdict::no(why_not_adopted(situation));
  for (const NodeView* node : primaries(situation)) {
    if (node != primary && !situation.is_old_primary(node->name)) {
      return Verdict::no(node->name + " is a primary that pgkeel did not promote");
    }
  }
  if (const NodeView* unheard = not_heard_from_yet(situation))
    return Verdict::no(unheard->name + " has not been heard from yet");
  if (const Verdict over = pause_is_over(situation); !over) return over;
  // Without a proof that the old primary is stopped, a standby that still hears from it would lose what it writes on.
  // Nor does it do any harm where what it still acknowledges needs standbys that are cut off first.
  const bool may_be_made_safe = situation.policy.when_path_cut == PathCutPolicy::kFailoverIfSafe;
  if (const NodeView* witness = may_be_made_safe ? witness_that_stays(situation) : witness_of_life(situation)) {
    return Verdict::no(witness->name + " still receives WAL from " + primary->name +
                       ": only the path from here is cut");
  }
  const NodeView* candidate = best_candidate(situation);
  if (candidate == nullptr) return Verdict::no(why_no_candidate(situation));
  if (const Verdict possible = election_is_possible(situation); !possible) return possible;
  if (candidate->facts_at < primary->suspicion.since) {
    return Verdict::no(candidate->name + " has not answered since " + primary->name + " failed");
  }
  // Where nobody was heard, our own network may have failed: the primary is asked once more now that it works.
  const Suspicion& found = candidate->suspicion;
  const bool silence_is_older = primary->suspicion.liveness == Liveness::kSilent &&
                                found.liveness == Liveness::kAlive && primary->suspicion.asked_in_vain_at < found.since;
  if (silence_is_older) {
    return Verdict::no(primary->name + " has not been asked since " + candidate->name + " answers again");
  }
  return Verdict::good();
}

bool fence_is_worth_waiting_for(const NodeView& old_primary) {
  // A remote node that refuses or is silent cannot be reached by SQL either; the route keeps clients away from it.
  return old_primary.local || !old_primary.suspicion.failed() || old_primary.suspicion.liveness == Liveness::kStuck;
}

bool runs_again(const Situation& situation, const NodeView& node, const ActionStatus& fence) {
  if (fence.fence != FenceStrength::kProvenStopped) return false;
  const ActionStatus* started = situation.current_action(ActionKind::kStartServer, node.name);
  const bool started_since = started != nullptr && (started->running || started->started_at >= fence.finished_at);
  return started_since || (node.facts && node.facts_at > fence.finished_at);
}

bool abandoned_candidate_is_stopped(const Situation& situation) {
  const std::string& name = situation.memory.abandoned_candidate;
  if (name.empty()) return true;
  const ActionStatus* fence = situation.current_action(ActionKind::kFence, name);
  if (fence == nullptr || fence->running || fence->fence != FenceStrength::kProvenStopped) return false;
  const NodeView* node = situation.view.node(name);
  return node == nullptr || node->suspicion.last_heard <= fence->finished_at;  // else somebody started it again
}

bool abandoned_candidate_may_run_on(const Situation& situation) {
  const std::string& name = situation.memory.abandoned_candidate;
  if (name.empty() || !loss_is_accepted(situation)) return false;
  if (situation.view.node(name) == nullptr) return true;
  const ActionStatus* fence = situation.current_action(ActionKind::kFence, name);
  return fence != nullptr && !fence->running;
}

Fenced fenced(const Situation& situation) {
  const ClusterMemory& memory = situation.memory;
  const ClusterView& view = situation.view;
  Fenced result{.done = true, .proven_stopped = false, .positions_since = view.phase_since};
  // Until the last worker closed the old epoch clients went on writing.
  if (view.route_epoch_applied == memory.epoch && view.route_closed) {
    result.positions_since = std::max(result.positions_since, view.route_applied_since);
  } else {
    result.done = false;
  }
  const auto finished = [&](const std::string& node) -> const ActionStatus* {
    const ActionStatus* fence = situation.current_action(ActionKind::kFence, node);
    if (fence == nullptr || fence->running) return nullptr;
    result.positions_since = std::max(result.positions_since, fence->finished_at);
    return fence;
  };
  if (const NodeView* old_primary = situation.primary(); old_primary != nullptr) {
    const ActionStatus* fence = finished(memory.primary);
    if (fence != nullptr && runs_again(situation, *old_primary, *fence)) fence = nullptr;
    if (fence == nullptr && fence_is_worth_waiting_for(*old_primary)) result.done = false;
    result.proven_stopped = fence != nullptr && fence->succeeded && fence->fence == FenceStrength::kProvenStopped;
  }
  if (!memory.abandoned_candidate.empty()) finished(memory.abandoned_candidate);
  if (!abandoned_candidate_is_stopped(situation) && !abandoned_candidate_may_run_on(situation)) result.done = false;
  return result;
}

bool position_is_final(const Situation& situation, const NodeView& standby, const Fenced& so_far) {
  if (!position_is_told(situation, standby)) return false;
  if (must_be_cut_off(situation, standby, so_far)) {
    if (!is_cut_off(situation, standby)) return false;
    const ActionStatus* cut = situation.current_action(ActionKind::kCutOff, standby.name);
    return standby.facts_at >= cut->finished_at && standby.facts_at >= so_far.positions_since &&
           !standby.facts->wal_receiver_streaming;
  }
  if (standby.facts_at >= so_far.positions_since) return true;
  const NodeView* old_primary = situation.primary();
  return old_primary != nullptr && situation.memory.abandoned_candidate.empty() &&
         old_primary->suspicion.liveness == Liveness::kDead && standby.facts_at >= old_primary->suspicion.since &&
         standby.facts && !standby.facts->wal_receiver_streaming;
}

namespace {

// Members of the promise that told all that they will ever get from the old primary.
std::uint32_t final_positions(const Situation& situation, const Fenced& so_far) {
  std::uint32_t count = 0;
  for (const auto& member : situation.memory.promise.members) {
    const NodeView* node = situation.view.node(member);
    if (node != nullptr && node->answers_as_standby() && position_is_final(situation, *node, so_far)) ++count;
  }
  return count;
}

}  // namespace

std::vector<const NodeView*> receiving_candidates(const Situation& situation) {
  std::vector<const NodeView*> candidates;
  for (const auto& node : situation.view.nodes) {
    if (may_be_promoted(situation, node)) candidates.push_back(&node);
  }
  std::vector<const NodeView*> receiving;
  for (const NodeView* node : candidates) {
    const bool from_a_candidate = std::ranges::any_of(
        candidates, [&](const NodeView* other) { return node->facts->wal_receiver_source == other->address; });
    if (node->facts->wal_receiver_streaming && !from_a_candidate) receiving.push_back(node);
  }
  return receiving;
}

const NodeView* candidate_to_promote(const Situation& situation, Instant& again_at) {
  const ClusterView& view = situation.view;
  const Fenced so_far = fenced(situation);
  if (!so_far.done || not_heard_from_yet(situation) != nullptr || situation.adoption_is_open()) return nullptr;
  if (hand_promotion(situation).node != nullptr) return nullptr;  // it may have taken writes meanwhile
  // The failover was begun although a standby heard from the primary, because a fence would prove it stopped, or its
  // standbys would be cut off: neither is so.
  const bool loses = !so_far.proven_stopped && witness_of_life(situation) != nullptr;
  if (loses && !loss_is_accepted(situation)) return nullptr;
  const Instant positions_since = so_far.positions_since;
  const auto wait_until = [&](Instant deadline) {
    if (situation.now.instant >= deadline) return false;
    again_at = std::min(again_at, deadline);
    return true;
  };

  const NodeView* best = best_candidate(situation);
  if (best == nullptr) return nullptr;
  if (safety_is_demanded(situation)) {
    if (final_positions(situation, so_far) < positions_needed(situation.memory.promise)) return nullptr;
    if (!position_is_final(situation, *best, so_far) && wait_until(positions_since + kPositionPatience)) return nullptr;
    best = best_candidate(situation, [&](const NodeView& node) { return position_is_final(situation, node, so_far); });
    if (best == nullptr || member_with_more(situation, *best) != nullptr) return nullptr;
  }
  if (!position_is_final(situation, *best, so_far)) return nullptr;
  const bool all_positions_known = std::ranges::all_of(view.nodes, [&](const NodeView& node) {
    return !may_be_promoted(situation, node) ||
           (position_is_final(situation, node, so_far) && !node.facts->replays_own_wal);
  });
  if (!all_positions_known && wait_until(positions_since + kPositionPatience)) return nullptr;
  // Also of one that is behind so far: what is on its way to it may be more than the best one has.
  if (so_far.proven_stopped && !receiving_candidates(situation).empty() &&
      wait_until(positions_since + kWalReceiverPatience)) {
    return nullptr;
  }
  return best;
}

HandPromotion hand_promotion(const Situation& situation) {
  HandPromotion result;
  const NodeView* primary = situation.primary();
  for (const NodeView* node : primaries(situation)) {
    if (node == primary || situation.is_old_primary(node->name)) continue;
    if (result.node != nullptr) {
      result.safe = Verdict::no(result.node->name + " and " + node->name + " are both primaries");
      return result;
    }
    result.node = node;
  }
  if (result.node == nullptr) return result;

  const NodeFacts& facts = *result.node->facts;
  const std::string promoted = result.node->name + " became a primary that pgkeel did not promote";
  if (primary == nullptr) {
    result.safe = Verdict::no(promoted + ", and " + situation.memory.primary + " is not configured any more");
    return result;
  }
  if (primary->answers_as_primary() || !(primary->suspicion.failed() || primary->answers_as_standby())) {
    result.safe = Verdict::no(promoted + ", and " + primary->name + " is not proven stopped");
    return result;
  }
  const auto fork = fork_of(facts, situation.memory.timeline);
  if (facts.timeline <= situation.memory.timeline || !fork) {
    result.safe = Verdict::no(promoted + ", and its timeline history does not show where it left timeline " +
                              std::to_string(situation.memory.timeline));
    return result;
  }
  if (primary->answers_as_standby()) {
    const bool within = on_history_of(*primary->facts, facts);
    result.safe =
        within ? Verdict::good()
               : Verdict::no(promoted + ", and " + primary->name + " has WAL past the fork at " + format_lsn(*fork));
    return result;
  }
  const ActionStatus* examined = situation.current_action(ActionKind::kExamine, primary->name);
  if (!primary->local) {
    result.safe = Verdict::no(promoted + ", and " + primary->name + " cannot be proven stopped from here");
  } else if (examined == nullptr || !examined->examination || examined->started_at < primary->suspicion.since) {
    result.examine_old_primary = true;
    const bool failed_before = examined != nullptr && examined->failures > 0;
    result.safe = Verdict::no(promoted + ", and " + primary->name + " is not proven stopped" +
                              (failed_before ? " (" + examined->last_failure + ")" : ""));
  } else if (!examined->examination->proven_stopped) {
    result.examine_old_primary = situation.now.instant >= examined->finished_at + kExaminePause;
    result.examine_again_at = examined->finished_at + kExaminePause;
    result.safe = Verdict::no(promoted + ", and " + primary->name + " is not proven stopped");
  } else if (examined->examination->timeline != situation.memory.timeline ||
             examined->examination->end_of_wal > *fork) {
    result.safe = Verdict::no(promoted + " at " + format_lsn(*fork) + ", and the WAL of " + primary->name +
                              " ends later, at " + format_lsn(examined->examination->end_of_wal));
  } else {
    result.safe = Verdict::good();
  }
  return result;
}

Adoption adoption(const Situation& situation) {
  Adoption result;
  const auto found = primaries(situation);
  if (found.size() > 1) {
    std::vector<std::string> names;
    for (const NodeView* node : found) names.push_back(node->name);
    const auto stranger = std::ranges::find_if(found, [&](const NodeView* node) {
      return node->facts->system_identifier != found.front()->facts->system_identifier;
    });
    if (stranger != found.end()) {
      result.why_not = join_names(names) + " are primaries, and of different clusters: " + found.front()->name +
                       " has system identifier " + found.front()->facts->system_identifier + ", " + (*stranger)->name +
                       " " + (*stranger)->facts->system_identifier +
                       "; mend the configuration, or choose with `pgkeel serve --adopt NODE`";
      return result;
    }
    result.two_primaries = true;
    result.why_not = join_names(names) + " are primaries; `pgkeel resolve CLUSTER --keep NODE` ends that";
    return result;
  }
  result.why_not = why_incomplete(situation);
  if (!result.why_not.empty()) return result;
  if (found.empty()) {
    result.why_not = "no node is a primary: all are standbys; promote the one to keep";
    return result;
  }
  const NodeView* primary = found.front();
  for (const auto& node : situation.view.nodes) {
    if (&node == primary || streams_from(node, *primary) || on_history_of(*node.facts, *primary->facts)) continue;
    const bool stranger = node.facts->system_identifier != primary->facts->system_identifier;
    result.why_not = node.name + (stranger ? " belongs to another cluster than " : " is not on the history of ") +
                     primary->name + "; rebuild it from " + primary->name +
                     ", or choose with `pgkeel serve --adopt NODE`";
    return result;
  }
  result.primary = primary;
  return result;
}

const NodeView* adopted_by_operator(const Situation& situation) {
  if (!situation.adoption_is_open()) return nullptr;
  const NodeView* node = situation.view.node(situation.policy.adopt);
  return node != nullptr && node->answers_as_primary() ? node : nullptr;
}

std::string why_not_adopted(const Situation& situation) {
  const std::string& name = situation.policy.adopt;
  const NodeView* node = situation.view.node(name);
  const std::string order = "waiting for " + name + ", as `serve --adopt " + name + "` says: ";
  if (node == nullptr) return order + "it is not configured";
  if (node->answers_as_standby()) return order + "it is a standby; promote it, or start pgkeel without --adopt";
  return order + why_not_known(*node);
}

}  // namespace pgkeel
