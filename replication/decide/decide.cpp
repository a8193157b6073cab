#include "replication/decide/decide.h"

#include <algorithm>

#include "replication/decide/candidate.h"
#include "replication/decide/collision.h"
#include "replication/decide/cutting_off.h"
#include "replication/decide/durability.h"
#include "replication/decide/election.h"
#include "replication/decide/failover.h"
#include "replication/decide/maintenance.h"
#include "replication/decide/orders.h"
#include "replication/decide/preferred.h"
#include "replication/decide/repair.h"
#include "replication/decide/retry.h"
#include "replication/decide/slots_of_others.h"
#include "replication/decide/stop_and_start.h"
#include "replication/decide/switchover.h"
#include "replication/decide/switchover_steps.h"
#include "replication/decide/teardown.h"
#include "replication/decide/transitions.h"
#include "replication/decide/witness.h"
#include "replication/sync/sync_planner.h"

namespace pgkeel {
namespace {

using namespace std::chrono_literals;

constexpr Duration kWalReceiverWatchInterval = 10ms;
constexpr Duration kWeakFencePause = 10s;  // before a node that is only weakly fenced is fenced again
constexpr Duration kAskAgainPause = 1s;    // where a node was asked, and there is no answer

// Facts that are remembered although no phase changes.
void keep_books(const Situation& situation, ClusterMemory& next) {
  // While a route drains clients go on writing, and what is promised of that must be true.
  if (next.phase == Phase::kDraining) return plan_durability(situation, next);
  if (next.phase != Phase::kSteady) return;
  const NodeView* primary = situation.primary();
  if (primary == nullptr || !primary->answers_as_primary()) return;
  if (primary->facts->system_identifier != next.system_identifier) return;
  next.timeline = std::max(next.timeline, primary->facts->timeline);
  std::erase_if(next.nodes, [&](const auto& entry) {
    const NodeView* node = situation.view.node(entry.first);
    return node != nullptr && streams_from(*node, *primary) && node->facts->timeline == primary->facts->timeline;
  });
  std::erase_if(next.automatic_failovers,
                [&](WallTime when) { return situation.now.wall - when >= situation.policy.failover_pause; });
  remember_slots(situation, *primary, next);
  plan_durability(situation, next);
}

class Judgement {
 public:
  Judgement(const Situation& situation, Decision& decision) : situation_(situation), decision_(decision) {}

  void run() {
    switch (situation_.memory.phase) {
      case Phase::kUnadopted:
        return unadopted();
      case Phase::kSteady:
        return steady();
      case Phase::kDraining:
        return judge_draining(situation_, decision_);
      case Phase::kStopping:
        return judge_stopping(situation_, decision_);
      case Phase::kReturning:
        return judge_returning(situation_, decision_);
      case Phase::kStopped:
        return judge_stopped(situation_, decision_);
      case Phase::kTornDown:
        return judge_torn_down(situation_, decision_);
      case Phase::kFencing:
        return fencing();
      case Phase::kPromoting:
        return promoting();
    }
  }

 private:
  void unadopted() {
    const Adoption found = adoption(situation_);
    if (situation_.adoption_is_open()) return no_route(why_not_adopted(situation_));
    no_route(found.why_not);
    if (found.two_primaries) decision_.condition = Condition::kCollision;
  }

  void steady() {
    if (const OperatorOrder* order = running_order(situation_.memory, OrderKind::kFailover))
      ask_standbys_since(order_since(situation_, *order));
    if (situation_.adoption_is_open()) return no_route(why_not_adopted(situation_));
    const NodeView* primary = situation_.primary();
    if (primary == nullptr) return no_route(why_not_configured(situation_));
    if (told_since(*primary)) {
      // It has written since: clients need not wait for its next facts. The standbys do.
      decision_.route_node = primary->name;
      decision_.notes[primary->name] = "primary, just promoted";
      decision_.condition = Condition::kDegraded;
      decision_.summary = primary->name + " is primary, and has not been asked since its promotion";
      if (situation_.memory.opens_when_commits_wait) keep_closed(*primary);
      return ask(*primary);
    }
    if (primary->answers_as_primary() && primary->facts->synchronous_standby_names == kFencingStandbyName) {
      no_route(primary->name + " is still fenced: a commit there would wait for a standby that does not exist");
      return promote(*primary, situation_.memory.standby_names);
    }
    const Verdict open = may_be_routed_to(*primary);
    if (!open) {
      no_route(open.why_not);
      return without_primary(*primary);
    }
    decision_.route_node = primary->name;
    decision_.notes[primary->name] = primary->answering() ? "primary" : "primary, " + primary->suspicion.evidence;
    decision_.condition = Condition::kDegraded;
    const bool all_stream = repair_standbys(situation_, decision_);
    const bool all_safe = enforce_durability(situation_, decision_);
    const bool is_closed = situation_.memory.opens_when_commits_wait;
    if (!is_closed) prepare_switchover(situation_, decision_);
    if (decision_.condition == Condition::kCollision) {
      decision_.summary = tell_way_out(describe_collision(situation_), is_closed ? "" : primary->name);
    } else if (all_stream && all_safe && primary->answering()) {
      decision_.condition = Condition::kNormal;
      decision_.summary = primary->name + " is primary, every standby streams from it" +
                          (commits_are_kept(situation_.policy) ? " and is safe" : "");
    } else if (!primary->answering()) {
      decision_.summary = why_not_known(*primary) + "; the route stays at it";
    } else {
      decision_.summary = primary->name + " is primary, not every standby " +
                          (all_stream ? "is safe" : "streams from it" + help_wanted(situation_));
    }
    if (is_closed) keep_closed(*primary);
    tell_of_maintenance(situation_.memory, decision_);
    if (is_closed) return;
    if (running_order(decision_.next, OrderKind::kSwitchover) != nullptr && !switchover_under_way(decision_.next))
      decision_.summary += "; a switchover is ordered, and begins when " + primary->name + " has written a checkpoint";
  }

  // Adopted strictly: what it acknowledged now would be on it alone.
  void keep_closed(const NodeView& primary) {
    decision_.route_node.clear();
    const std::string why = tell_kept_closed(situation_, primary);
    if (decision_.condition != Condition::kCollision) return no_route(why);
    decision_.route_reason = why;
    decision_.summary += "; " + why;
  }

  // It was promoted, or its fence was lifted, after it was asked last.
  [[nodiscard]] bool told_since(const NodeView& primary) const {
    if (!primary.answering()) return false;
    const NodeFacts& facts = *primary.facts;
    if (!facts.in_recovery && facts.synchronous_standby_names != kFencingStandbyName) return false;
    const ActionStatus* promotion = situation_.current_action(ActionKind::kPromote, primary.name);
    return promotion != nullptr && !promotion->running && promotion->succeeded &&
           primary.facts_at <= promotion->finished_at;
  }

  [[nodiscard]] Verdict may_be_routed_to(const NodeView& primary) const {
    if (primary.suspicion.failed()) return Verdict::no(primary.name + " failed: " + primary.suspicion.evidence);
    if (!primary.facts) return Verdict::no(why_not_known(primary));
    if (primary.facts->in_recovery) return Verdict::no(primary.name + " is not a primary any more: it is in recovery");
    if (primary.facts->system_identifier != situation_.memory.system_identifier) {
      return Verdict::no(primary.name + " belongs to another cluster now (system identifier " +
                         primary.facts->system_identifier + " instead of " + situation_.memory.system_identifier + ")");
    }
    if (primary.facts->timeline < situation_.memory.timeline) {
      return Verdict::no(primary.name + " writes timeline " + std::to_string(primary.facts->timeline) +
                         ", although it was on timeline " + std::to_string(situation_.memory.timeline) + " before");
    }
    return Verdict::good();
  }

  // The primary cannot be routed to, and no transition applied: say why, and do what may change it.
  void without_primary(const NodeView& primary) {
    const HandPromotion promotion = hand_promotion(situation_);
    if (promotion.node != nullptr) {
      decision_.condition = Condition::kCollision;
      decision_.summary = promotion.safe.why_not + "; " + choices(promotion.node->name);
      if (promotion.examine_old_primary) {
        start(ActionKind::kExamine, primary);
      } else {
        again_at(promotion.examine_again_at);
      }
      return;
    }
    if (!primary.suspicion.failed()) return;
    const Verdict due = failover_is_due(situation_);
    if (!due) decision_.summary += "; no failover: " + due.why_not;
    decision_.failover_refused = due.why_not;
    ask_standbys_since(primary.suspicion.since);
    const auto& failovers = situation_.memory.automatic_failovers;
    if (!failovers.empty()) {
      const Duration left = failovers.back() + situation_.policy.failover_pause - situation_.now.wall;
      if (left > Duration::zero()) again_at(situation_.now.instant + left);
    }
    if (witness_of_life(situation_) != nullptr)
      again_at(situation_.now.instant + situation_.policy.failure_timeout / 2);
    const bool pause_forbids = situation_.policy.mode == FailoverMode::kAutomatic && !pause_is_over(situation_);
    if (!somebody_can_be_elected(situation_) || pause_forbids) start_what_crashed(situation_, decision_);
  }

  // Either history can be kept, and each choice loses what only the other one has.
  [[nodiscard]] std::string choices(const std::string& promoted) const {
    const std::string& primary = situation_.memory.primary;
    return "`pgkeel resolve CLUSTER --keep " + promoted + "` ends it (what only " + primary +
           " has is set aside, and lost to the cluster); or start " + primary + " first, and --keep " + primary +
           " (then the same of " + promoted + ")";
  }

  void fencing() {
    const ClusterMemory& memory = situation_.memory;
    decision_.condition = Condition::kFailingOver;
    decision_.summary = memory.reason + "; fencing it";
    decision_.route_reason = memory.reason;
    const NodeView* old_primary = situation_.primary();
    const bool somebody_can_replace_it = somebody_can_be_elected(situation_);
    if (old_primary != nullptr && (somebody_can_replace_it || old_primary->suspicion.failed()))
      fence_once(*old_primary, somebody_can_replace_it);
    if (const NodeView* abandoned = situation_.view.node(memory.abandoned_candidate)) {
      fence_until_stopped(*abandoned);
      if (!abandoned->local && !abandoned_candidate_is_stopped(situation_))
        decision_.summary += "; nobody can prove that " + abandoned->name + " is stopped" + how_to_go_on();
    }

    const Fenced so_far = fenced(situation_);
    cut_off_standbys(situation_, so_far, decision_);
    for (const auto& node : situation_.view.nodes) {
      const bool is_being_cut_off = must_be_cut_off(situation_, node, so_far) && !is_cut_off(situation_, node);
      if (node.name == memory.primary || !node.answering() || is_being_cut_off) continue;
      if (!position_is_told(situation_, node)) continue;  // it takes its time: the usual probes are enough
      if (!position_is_final(situation_, node, so_far)) ask(node);
    }
    watch_wal_receivers(so_far);
    if (best_candidate(situation_) == nullptr) {
      decision_.summary += "; nobody can be promoted: " + why_no_candidate(situation_);
    } else if (const Verdict possible = election_is_possible(situation_); !possible) {
      decision_.summary += "; nobody can be promoted yet: " + possible.why_not;
    }
    decision_.summary += tell_cut_off_in_vain(situation_, so_far);
    if (situation_.adoption_is_open()) decision_.summary += "; nobody is promoted: " + why_not_adopted(situation_);
    const HandPromotion promotion = hand_promotion(situation_);
    if (promotion.node != nullptr && promotion.node->name != memory.abandoned_candidate) {
      decision_.condition = Condition::kCollision;
      decision_.summary += "; " + choices(promotion.node->name);
      return;
    }
    if (!somebody_can_replace_it) start_what_crashed(situation_, decision_);
  }

  void promoting() {
    const ClusterMemory& memory = situation_.memory;
    const bool planned = switchover_under_way(memory) != nullptr;
    decision_.condition = planned ? Condition::kSwitchingOver : Condition::kFailingOver;
    decision_.summary = "promoting " + memory.candidate;
    decision_.route_mode = planned ? RouteMode::kMoving : RouteMode::kNormal;
    decision_.route_reason = std::string(planned ? "a switchover" : "a failover") +
                             " is under way: " + memory.candidate + " is being promoted";
    const NodeView* candidate = situation_.view.node(memory.candidate);
    if (candidate == nullptr) {
      decision_.summary += ", which is not configured any more; choose with `pgkeel serve --adopt NODE`";
      return;
    }
    decision_.summary += tell_promotion(situation_, *candidate);
    if (candidate->local && candidate->suspicion.liveness == Liveness::kDead) {
      decision_.summary += ", which failed meanwhile: " + candidate->suspicion.evidence;
      start(ActionKind::kStartServer, *candidate);
    } else {
      if (!candidate->local && candidate->suspicion.failed()) tell_of_lost(*candidate);
      promote(*candidate, first_standby_names(situation_, candidate->name));
    }
    cut_off_standbys(situation_, fenced(situation_), decision_);
  }

  void tell_of_lost(const NodeView& candidate) {
    decision_.summary += "; it failed meanwhile (" + candidate.suspicion.evidence +
                         "), and nobody can prove that it is stopped" + how_to_go_on();
    if (const OperatorOrder* order = running_order(situation_.memory, OrderKind::kFailover))
      ask_standbys_since(order_since(situation_, *order));
  }

  // The way out for an operator, where pgkeel has none.
  [[nodiscard]] std::string how_to_go_on() const {
    return loss_is_accepted(situation_)
               ? ": an operator goes on without"
               : "; start it, or promote another with `pgkeel failover CLUSTER --to NODE --accept-loss`";
  }

  // One may be promoted as soon as the walreceivers of all candidates have ended: look often.
  void watch_wal_receivers(const Fenced& so_far) {
    const Instant now = situation_.now.instant;
    if (!so_far.done || !so_far.proven_stopped || now >= so_far.positions_since + kWalReceiverPatience) return;
    for (const NodeView* candidate : receiving_candidates(situation_)) {
      if (candidate->facts_at < so_far.positions_since) continue;
      const Instant due = candidate->facts_at + kWalReceiverWatchInterval;
      now < due ? again_at(due) : ask(*candidate, kWalReceiverWatchInterval);
    }
  }

  // A primary that nobody can replace yet is not kept from coming up.
  void fence_once(const NodeView& node, bool somebody_can_replace_it) {
    const ActionStatus* fence = situation_.current_action(ActionKind::kFence, node.name);
    bool done = fence != nullptr && !fence->running && fence->succeeded;
    // It was started again while nobody could replace it, and now somebody can.
    if (done && somebody_can_replace_it && runs_again(situation_, node, *fence)) done = false;
    if (done) return;
    if (somebody_can_replace_it) break_off_job(node);
    start(ActionKind::kFence, node);
  }

  void fence_until_stopped(const NodeView& node) {
    if (abandoned_candidate_is_stopped(situation_)) return;
    // A fence by SQL proves nothing, however often it is repeated.
    const ActionStatus* fence = situation_.current_action(ActionKind::kFence, node.name);
    if (fence != nullptr && !fence->running && fence->fence == FenceStrength::kWeak) {
      const Instant due = fence->finished_at + kWeakFencePause;
      if (situation_.now.instant < due) return again_at(due);
    }
    break_off_job(node);
    start(ActionKind::kFence, node);
  }

  // What hangs, or takes as long as a crash recovery, must not hold up a fence that a failover waits for.
  void break_off_job(const NodeView& node) {
    if (!breakable_job_runs(situation_, node.name)) return;
    if (!may_start(situation_, ActionKind::kFence, node.name, decision_.decide_again_at)) return;
    decision_.break_off.push_back(node.name);
  }

  void ask_standbys_since(Instant since) {
    for (const auto& node : situation_.view.nodes) {
      if (node.name != situation_.memory.primary && node.answering() && node.facts_at < since) ask(node);
    }
  }

  void ask(const NodeView& node, Duration pause = kAskAgainPause) { pgkeel::ask(situation_, node, pause, decision_); }

  void promote(const NodeView& node, const SyncQuorum& standby_names) {
    start(ActionKind::kPromote, node);
    if (decision_.actions.empty() || decision_.actions.back().kind != ActionKind::kPromote) return;
    set_standby_names_of(situation_, standby_names, decision_.actions.back());
  }

  void start(ActionKind kind, const NodeView& node) {
    start_action(situation_, make_action(kind, node.name, situation_.memory.epoch), decision_);
  }

  void no_route(std::string why) {
    decision_.condition = Condition::kNoRoute;
    decision_.route_reason = why;
    decision_.summary = std::move(why);
  }

  void again_at(Instant when) { decision_.decide_again_at = std::min(decision_.decide_again_at, when); }

  const Situation& situation_;
  Decision& decision_;
};

}  // namespace

Decision decide(const ClusterView& view, const ClusterMemory& memory, const FailoverPolicy& policy, Now now) {
  Decision decision;
  decision.next = memory;
  const Situation before{view, memory, policy, now};
  for (const auto& row : transitions()) {
    if (row.from != memory.phase) continue;
    if (auto next = row.take(before, decision.decide_again_at)) {
      decision.next = std::move(*next);
      decision.transition = row.why;
      break;
    }
  }
  const Situation after{view, decision.next, policy, now};
  keep_books(after, decision.next);
  settle_orders(after, decision);
  order_switch_back(after, decision);
  Judgement(after, decision).run();
  if (decision.condition == Condition::kCollision) decision.collision = describe_collision(after);
  // What a standby held may be gone as soon as its files are worked on.
  for (const auto& action : decision.actions) {
    if (action.kind == ActionKind::kRejoin) decision.next.promise = promise_without(decision.next.promise, action.node);
  }
  for (const auto& node : view.nodes) {
    if (!decision.notes.contains(node.name)) {
      decision.notes[node.name] = after.is_of_another_cluster(node) ? tell_other_cluster(node)
                                  : node.answers_as_primary()       ? "answers as a primary"
                                  : node.answers_as_standby()       ? "answers as a standby"
                                  : node.suspicion.evidence.empty() ? "not heard from yet"
                                                                    : node.suspicion.evidence;
    }
    if (node.local_doubt.empty()) continue;
    decision.notes[node.name] += "; its processes and files are not touched: " + node.local_doubt;
    if (decision.condition != Condition::kNormal) continue;
    decision.condition = Condition::kDegraded;
    decision.summary += "; the processes and files of " + node.name + " are out of reach: " + node.local_doubt;
  }
  return decision;
}

}  // namespace pgkeel
