#include "replication/decide/repair.h"

#include <algorithm>

#include "replication/decide/candidate.h"
#include "replication/decide/collision.h"
#include "replication/decide/durability.h"
#include "replication/decide/election.h"
#include "replication/decide/failover.h"
#include "replication/decide/maintenance.h"
#include "replication/decide/orders.h"
#include "replication/decide/parted_standbys.h"
#include "replication/decide/retry.h"
#include "replication/decide/slots.h"
#include "replication/decide/switchover.h"
#include "replication/model/slot_name.h"

namespace pgkeel {

using namespace std::chrono_literals;

namespace {

constexpr Duration kFollowPatience = 10s;  // before a standby that was pointed at the primary is pointed there again
constexpr Duration kStartPatience = 5s;    // before a node that was started, and is not heard from, is started again
constexpr Duration kFencePause = 10s;      // before a node that lives on after it was fenced is fenced again
constexpr Duration kReconnectPause = 1s;   // … where clients have come back meanwhile

// What failed, and what makes it go on.
std::string tell_given_up(const Situation& situation, const std::string& node) {
  const ActionStatus* rejoin = situation.current_action(ActionKind::kRejoin, node);
  return "given up after " + std::to_string(rejoin->copies) + " attempts that began to copy; the last: " +
         (rejoin->last_failure.empty() ? "it did not stream from " + rejoin->action.upstream : rejoin->last_failure) +
         "; mend that, then `pgkeel rejoin CLUSTER " + node +
         "` (pgkeel itself begins anew when a disk of it has more room, the configuration is reloaded, or its agent or "
         "the primary is back for minutes)";
}

bool has_physical_slot(const NodeFacts& facts, const std::string& name) {
  return std::ranges::any_of(facts.slots, [&](const PhysicalSlot& slot) { return slot.name == name; });
}

// One node beside a primary that answers.
class NodeRepair {
 public:
  NodeRepair(const Situation& situation, const NodeView& primary, const NodeView& node, Decision& decision)
      : situation_(situation),
        primary_(primary),
        node_(node),
        decision_(decision),
        order_(order_for(situation.memory, node.name)) {}

  bool run() {  // true: healthy
    if (const auto out = situation_.memory.nodes_maintained.find(node_.name);
        out != situation_.memory.nodes_maintained.end() && !node_.answers_as_primary()) {
      note(tell_maintenance(out->second) + ": it is left alone");
      return true;
    }
    if (situation_.is_of_another_cluster(node_)) {
      note(tell_other_cluster(node_) + ": it is left alone");
      return false;
    }
    if (situation_.memory.maintenance && !is_ordered()) return leave_alone();
    if (order_ != nullptr && order_->rebuild && !order_->carried_out) return rejoin("to be rebuilt by order");
    if (is_to_be_filled()) return rejoin("to be provisioned by order");
    if (node_.answers_as_primary()) return repair_second_primary();
    if (node_.answers_as_standby()) return repair_standby();
    return repair_silent_node();
  }

 private:
  // An operator wants this node to be a standby; nullptr: there is no such order.
  static const OperatorOrder* order_for(const ClusterMemory& memory, const std::string& node) {
    const OperatorOrder* rejoin = running_order(memory, OrderKind::kRejoin, node);
    return rejoin != nullptr ? rejoin : running_order(memory, OrderKind::kProvision, node);
  }

  // Nothing answers there, as it is with an empty host; what is in its data directory is seen when the work begins.
  [[nodiscard]] bool is_to_be_filled() const {
    const Liveness liveness = node_.suspicion.liveness;
    return order_ != nullptr && order_->kind == OrderKind::kProvision && !order_->carried_out && node_.local &&
           (liveness == Liveness::kDead || liveness == Liveness::kSilent);
  }

  // An operator wants this node to be a standby now.
  [[nodiscard]] bool is_ordered() const {
    const OperatorOrder* switchover = switchover_under_way(situation_.memory);
    return order_ != nullptr || (switchover != nullptr && switchover->primary_before == node_.name) ||
           running_order(situation_.memory, OrderKind::kStart) != nullptr;
  }

  // `pgkeel start` starts what `pgkeel stop` shut down, although it rests cleanly. What it has started, and somebody
  // shuts down again while others are still waited for, rests because that is wanted. A switchover needs none of this:
  // what it shut down is an old primary until it streams, and afterwards a standby like any other.
  [[nodiscard]] bool is_to_be_woken() const {
    const OperatorOrder* order = running_order(situation_.memory, OrderKind::kStart);
    if (order == nullptr) return false;
    const ActionStatus* status = situation_.current_action(ActionKind::kRejoin, node_.name);
    const bool was_woken = status != nullptr && !status->running && status->succeeded &&
                           status->started_at >= order_since(situation_, *order);
    return !was_woken;
  }

  // The whole cluster is under maintenance: what is seen is said, and nothing is done.
  bool leave_alone() {
    if (node_.answers_as_primary() && !is_known_old_primary(situation_, node_)) return repair_second_primary();
    if (streams_from(node_, primary_)) {
      note("standby, streaming" + safety_of(situation_, node_.name));
      return true;
    }
    note((node_.answers_as_standby()   ? "standby, not streaming from " + primary_.name
          : node_.answers_as_primary() ? "an old primary that came back as a primary"
                                       : why_not_known(node_)) +
         "; it is left alone while the cluster is under maintenance");
    return false;
  }

  bool repair_second_primary() {
    const NodeFacts& facts = *node_.facts;
    if (is_known_old_primary(situation_, node_)) {
      note("an old primary that came back as a primary: it is fenced again");
      fence_again();
      return false;
    }
    decision_.condition = Condition::kCollision;
    note("takes writes on timeline " + std::to_string(facts.timeline) + " beside " + primary_.name + " on timeline " +
         std::to_string(primary_.facts->timeline) + ", and pgkeel did not promote it");
    return false;
  }

  bool repair_standby() {
    const NodeFacts& facts = *node_.facts;
    if (has_parted(node_, primary_)) return rejoin("has WAL that " + primary_.name + " lacks");
    if (may_be_on_a_twin(situation_, node_, primary_)) {
      note("on a timeline of the same number as " + primary_.name + "'s; whether it is the same is not known yet");
      return false;
    }
    keep_slots(situation_, primary_, node_, decision_);
    const bool identified = is_identified();
    if (streams_from(node_, primary_) && identified) {
      note((facts.replay_paused ? "standby, streaming, replay paused" : "standby, streaming") +
           safety_of(situation_, node_.name));
      return true;
    }
    note(identified ? "standby, not streaming from " + primary_.name : "standby, to be pointed at " + primary_.name);
    const ActionStatus* follow = situation_.current_action(ActionKind::kFollow, node_.name);
    if (follow != nullptr && is_stranded(*follow)) {
      return rejoin("needs WAL from " + format_lsn(follow->missing_from) + " on, which " + primary_.name +
                    " no longer has");
    }
    if (follow != nullptr && !follow->running && follow->succeeded) {
      // It was told: the next facts show whether it does. It is told again where it does not.
      const Instant again_at = follow->finished_at + kFollowPatience;
      if (situation_.now.instant < again_at) {
        decision_.decide_again_at = std::min(decision_.decide_again_at, again_at);
        return false;
      }
    }
    if (follow != nullptr && !follow->running && !follow->succeeded)
      note("cannot be pointed at " + primary_.name + ": " + follow->message);
    const ActionStatus* cut = situation_.view.action(ActionKind::kCutOff, node_.name);
    if (cut != nullptr && cut->running) return false;  // both set where it receives from: one after the other
    start(ActionKind::kFollow);
    return false;
  }

  // It was told to stream, the primary has no WAL for it, and it has not moved since: nor does an archive have it, or
  // replay of what it has already.
  [[nodiscard]] bool is_stranded(const ActionStatus& follow) const {
    const NodeFacts& facts = *node_.facts;
    if (follow.running || !follow.missing_from.valid() || facts.wal_receiver_streaming) return false;
    if (facts.replay_paused || facts.replays_own_wal || facts.recovery_min_apply_delay > Duration::zero()) return false;
    return facts.wal_position == follow.missing_from && situation_.now.instant >= follow.finished_at + kFollowPatience;
  }

  // It bears its own name, its slot keeps its WAL, and it is told to stream from the primary.
  [[nodiscard]] bool is_identified() const {
    const NodeFacts& facts = *node_.facts;
    const bool bears_its_name = std::ranges::any_of(
        primary_.facts->wal_senders, [&](const WalSender& sender) { return sender.application_name == node_.name; });
    return bears_its_name && facts.primary_slot_name == slot_of_node(node_.name) &&
           has_physical_slot(*primary_.facts, slot_of_node(node_.name));
  }

  bool repair_silent_node() {
    const Liveness liveness = node_.suspicion.liveness;
    const std::string& evidence = node_.suspicion.evidence;
    if (liveness == Liveness::kStarting || liveness == Liveness::kStuck) {
      note("starting: " + evidence);
      return false;
    }
    if (!node_.suspicion.failed()) {
      note(evidence.empty() ? "not heard from yet" : evidence);
      return false;
    }
    if (liveness == Liveness::kSilent) {
      if (!situation_.is_old_primary(node_.name) || !node_.local) {
        note("does not answer: " + evidence);
        return false;
      }
      // It may be hung: what is to be made a standby must be stopped first.
      const ActionStatus* fence = situation_.current_action(ActionKind::kFence, node_.name);
      const bool stopped = fence != nullptr && !fence->running && fence->fence == FenceStrength::kProvenStopped &&
                           fence->finished_at >= node_.suspicion.since;
      if (!stopped) {
        note("an old primary that does not answer (" + evidence + "): it is fenced");
        start(ActionKind::kFence);
        return false;
      }
    }
    return rejoin("down (" + evidence + ")");
  }

  bool rejoin(const std::string& state) {
    if (!rival_primaries(situation_).empty()) {
      note(state + "; nothing is rebuilt before the collision is resolved");
      return false;
    }
    if (!node_.local) {
      note(state + "; pgkeel cannot reach its files: rebuild and start it as a standby of " + primary_.name);
      return false;
    }
    if (!situation_.policy.auto_rejoin && !is_ordered()) {
      note(state + "; auto_rejoin is off: `pgkeel rejoin` makes it a standby");
      return false;
    }
    if (!host_job_runs(situation_, node_.name)) {
      const std::string followers = cut_off_those_that_follow(situation_, primary_, node_, decision_);
      if (!followers.empty()) {
        note(state + "; " + followers);
        return false;
      }
    }
    const ActionStatus* status = situation_.current_action(ActionKind::kRejoin, node_.name);
    const bool failed_before = status != nullptr && !status->running && !status->succeeded;
    note(is_given_up()   ? state + "; " + tell_given_up(situation_, node_.name)
         : failed_before ? state + "; it could not be made a standby: " + status->message
                         : state + "; being made a standby");
    if (status != nullptr && !status->running && status->succeeded && status->finished_at >= node_.suspicion.since &&
        !ended_before_the_order(ActionKind::kRejoin) &&
        situation_.now.instant < status->finished_at + kFollowPatience) {
      decision_.decide_again_at = std::min(decision_.decide_again_at, status->finished_at + kFollowPatience);
      return false;  // just started: wait for its first answer
    }
    start(ActionKind::kRejoin);
    return false;
  }

  [[nodiscard]] bool is_given_up() const {
    return rejoin_is_given_up(situation_, node_.name) && !ended_before_the_order(ActionKind::kRejoin);
  }

  // By SQL a node is only weakly fenced: it lives on, and is fenced again from time to time.
  void fence_again() {
    const ActionStatus* fence = situation_.current_action(ActionKind::kFence, node_.name);
    if (fence != nullptr && !fence->running && fence->succeeded && fence->finished_at >= node_.suspicion.since) {
      const bool clients_came_back = node_.facts_at > fence->finished_at && node_.facts->sessions_despite_fence > 0;
      const Instant due = fence->finished_at + (clients_came_back ? kReconnectPause : kFencePause);
      if (situation_.now.instant < due) {
        decision_.decide_again_at = std::min(decision_.decide_again_at, due);
        return;
      }
    }
    if (breakable_job_runs(situation_, node_.name)) decision_.break_off.push_back(node_.name);
    start(ActionKind::kFence);
  }

  void start(ActionKind kind) {
    if (host_job_runs(situation_, node_.name)) return;
    if (!ended_before_the_order(kind) && !may_start(situation_, kind, node_.name, decision_.decide_again_at)) return;
    if (kind == ActionKind::kRejoin) {  // which stops it: it need not be cut off for the sake of another one
      std::erase_if(decision_.actions,
                    [&](const Action& other) { return other.kind == ActionKind::kCutOff && other.node == node_.name; });
    }
    Action action = make_action(kind, node_.name, situation_.memory.epoch);
    action.upstream = primary_.name;
    action.old_primary = situation_.is_old_primary(node_.name);
    if (kind == ActionKind::kRejoin) action.ordered = is_to_be_woken();
    if (kind == ActionKind::kRejoin && order_ != nullptr) {
      action.ordered = true;
      action.rebuild = order_->rebuild;
      action.discard_old_data = order_->discard_old_data;
      action.provision = order_->kind == OrderKind::kProvision && !order_->carried_out;
    }
    decision_.actions.push_back(std::move(action));
  }

  // Whatever became of it, an operator has ordered it since.
  [[nodiscard]] bool ended_before_the_order(ActionKind kind) const {
    if (order_ == nullptr) return false;
    const ActionStatus* status = situation_.view.action(kind, node_.name);
    return status != nullptr && !status->running && status->finished_at < order_since(situation_, *order_);
  }

  void note(std::string text) { decision_.notes[node_.name] = std::move(text); }

  const Situation& situation_;
  const NodeView& primary_;
  const NodeView& node_;
  Decision& decision_;
  const OperatorOrder* order_;  // an operator wants this node to rejoin, or to be filled; nullptr: none does
};

}  // namespace

bool repair_standbys(const Situation& situation, Decision& decision) {
  const NodeView* primary = situation.primary();
  if (primary == nullptr || !primary->answers_as_primary()) return false;
  bool healthy = true;
  keep_slots(situation, *primary, *primary, decision);
  for (const auto& node : situation.view.nodes) {
    if (&node == primary) continue;
    if (!NodeRepair(situation, *primary, node, decision).run()) healthy = false;
  }
  return healthy;
}

std::string help_wanted(const Situation& situation) {
  std::string text;
  for (const auto& node : situation.view.nodes) {
    if (situation.is_of_another_cluster(node)) text += "; " + node.name + " " + tell_other_cluster(node);
    const ActionStatus* rejoin = situation.current_action(ActionKind::kRejoin, node.name);
    if (rejoin == nullptr || rejoin->failures < kFailuresBeforeOperator) continue;
    if (rejoin_is_given_up(situation, node.name)) {
      text += "; " + node.name + " is " + tell_given_up(situation, node.name);
      continue;
    }
    text += "; " + node.name + " could not be made a standby in " + std::to_string(kFailuresBeforeOperator) +
            " attempts, and needs an operator";
  }
  return text;
}

void start_what_crashed(const Situation& situation, Decision& decision) {
  const NodeView* primary = situation.primary();
  if (primary == nullptr || !situation.policy.auto_rejoin || situation.memory.maintenance) return;
  const auto start = [&](const NodeView& node) {
    if (!node.local || node.suspicion.liveness != Liveness::kDead) return;
    if (host_job_runs(situation, node.name) || host_job_starts(decision.actions, node.name)) return;
    const ActionStatus* started = situation.current_action(ActionKind::kStartServer, node.name);
    if (started != nullptr && started->succeeded && started->finished_at >= node.suspicion.since) {
      const Instant due = started->finished_at + kStartPatience;
      if (situation.now.instant < due) {
        decision.decide_again_at = std::min(decision.decide_again_at, due);
        return;
      }
    }
    if (!may_start(situation, ActionKind::kStartServer, node.name, decision.decide_again_at)) return;
    decision.actions.push_back(make_action(ActionKind::kStartServer, node.name, situation.memory.epoch));
  };
  // An old primary would start as a primary: what it takes then would be lost, or beside the next one's.
  const auto may_be_started = [&](const NodeView& node) {
    return &node != primary && node.name != situation.memory.abandoned_candidate &&
           !situation.is_old_primary(node.name) && !is_out(situation.memory, node.name);
  };
  if (!abandoned_candidate_is_stopped(situation)) {  // it may be the primary: only a third can go on
    for (const auto& node : situation.view.nodes) {
      if (may_be_started(node)) start(node);
    }
    return;
  }
  // A standby that may still answer is waited for: it would be promoted.
  const bool all_others_are_out = std::ranges::all_of(situation.view.nodes, [&](const NodeView& node) {
    return &node == primary || node.suspicion.failed() || (node.answering() && !may_be_promoted(situation, node));
  });
  const bool somebody_could_be_promoted = best_candidate(situation) != nullptr;  // but not now
  if (!all_others_are_out && !somebody_could_be_promoted) return;
  start(*primary);
  if (somebody_can_be_elected(situation)) return;
  const ActionStatus* tried = situation.current_action(ActionKind::kStartServer, primary->name);
  const bool primary_cannot_start = !primary->local || (tried != nullptr && tried->failures > 0);
  if (!primary_cannot_start) return;
  for (const auto& node : situation.view.nodes) {
    if (may_be_started(node)) start(node);
  }
}

}  // namespace pgkeel
