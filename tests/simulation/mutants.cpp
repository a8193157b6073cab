#include "tests/simulation/mutants.h"

#include <algorithm>

#include "replication/decide/decide.h"
#include "replication/decide/orders.h"
#include "replication/decide/situation.h"
#include "replication/model/nowhere.h"
#include "replication/sync/standby_names.h"
#include "tests/support/change_facts.h"

namespace pgkeel::simulation {

using test::change_facts;

const char* mutant_name(Mutant mutant) {
  switch (mutant) {
    case Mutant::kNone:
      return "none";
    case Mutant::kStoreLost:
      return "store-lost";
    case Mutant::kStoreLate:
      return "store-late";
    case Mutant::kCandidateForgotten:
      return "candidate-forgotten";
    case Mutant::kEpochForgotten:
      return "epoch-forgotten";
    case Mutant::kRouteNotAwaited:
      return "route-not-awaited";
    case Mutant::kWorkerKeepsRoute:
      return "worker-keeps-route";
    case Mutant::kFenceLies:
      return "fence-lies";
    case Mutant::kRejoinInPlace:
      return "rejoin-in-place";
    case Mutant::kPromoteTwice:
      return "promote-twice";
    case Mutant::kWeakeningLate:
      return "weakening-late";
    case Mutant::kFlagNotAwaited:
      return "flag-not-awaited";
    case Mutant::kAcksNotProven:
      return "acks-not-proven";
    case Mutant::kNotCutOff:
      return "not-cut-off";
    case Mutant::kCandidateNamesForgotten:
      return "candidate-names-forgotten";
    case Mutant::kWaitingNotProven:
      return "waiting-not-proven";
    case Mutant::kOpenedAtOnce:
      return "opened-at-once";
    case Mutant::kTooFewPositions:
      return "too-few-positions";
    case Mutant::kReplayedIsAll:
      return "replayed-is-all";
    case Mutant::kPromiseKept:
      return "promise-kept";
    case Mutant::kImpostorTrusted:
      return "impostor-trusted";
    case Mutant::kPriorityFirst:
      return "priority-first";
    case Mutant::kCatchUpNotAwaited:
      return "catch-up-not-awaited";
    case Mutant::kMeddlingIgnored:
      return "meddling-ignored";
    case Mutant::kSilenceIsDeath:
      return "silence-is-death";
    case Mutant::kOlderOrdersLeft:
      return "older-orders-left";
    case Mutant::kMaintenanceIgnored:
      return "maintenance-ignored";
    case Mutant::kNodeOutIgnored:
      return "node-out-ignored";
    case Mutant::kStopIgnored:
      return "stop-ignored";
    case Mutant::kKeptSlotsForgotten:
      return "kept-slots-forgotten";
    case Mutant::kSlotMovedTooFar:
      return "slot-moved-too-far";
    case Mutant::kSlowStandbyKept:
      return "slow-standby-kept";
    case Mutant::kItsWordIsEnough:
      return "its-word-is-enough";
    case Mutant::kPartedLeft:
      return "parted-left";
  }
  return "unknown";
}

bool is_about_promises(Mutant mutant) {
  switch (mutant) {
    case Mutant::kWeakeningLate:
    case Mutant::kFlagNotAwaited:
    case Mutant::kCandidateNamesForgotten:
    case Mutant::kPromiseKept:
    case Mutant::kImpostorTrusted:
    case Mutant::kCatchUpNotAwaited:
    case Mutant::kMeddlingIgnored:
    case Mutant::kSlowStandbyKept:
    case Mutant::kItsWordIsEnough:
      return true;
    default:
      return is_about_quorums(mutant);
  }
}

bool is_about_quorums(Mutant mutant) {
  return mutant == Mutant::kTooFewPositions || mutant == Mutant::kAcksNotProven || mutant == Mutant::kNotCutOff ||
         mutant == Mutant::kReplayedIsAll;
}

namespace {

// Of each name only one walsender is seen, and it is the one that holds the slot.
void trust_impostors(NodeFacts& facts) {
  std::vector<WalSender> seen;
  for (const auto& sender : facts.wal_senders) {
    const auto same = std::ranges::find(seen, sender.application_name, &WalSender::application_name);
    if (same == seen.end()) {
      seen.push_back(sender);
    } else if (sender.flushed > same->flushed) {
      *same = sender;
    }
  }
  for (auto& slot : facts.slots) {
    for (const auto& sender : seen) {
      if (slot.name == "pgkeel_" + sender.application_name) slot.active_pid = sender.pid;
    }
  }
  facts.wal_senders = std::move(seen);
}

Decision decide_with_fewer_positions(const ClusterView& view, const ClusterMemory& memory, const FailoverPolicy& policy,
                                     Now now) {
  ClusterMemory believed = memory;
  const bool elects = memory.phase == Phase::kSteady || memory.phase == Phase::kFencing;
  if (elects && !memory.promise.empty() && memory.promise.acks < memory.promise.members.size())
    believed.promise.acks += 1;
  Decision decision = decide(view, believed, policy, now);
  if (decision.next.promise == believed.promise) decision.next.promise = memory.promise;
  return decision;
}

Decision decide_with_old_promise(const ClusterView& view, const ClusterMemory& memory, const FailoverPolicy& policy,
                                 Now now) {
  Decision decision = decide(view, memory, policy, now);
  const bool promoted = memory.phase == Phase::kPromoting && decision.next.phase == Phase::kSteady;
  if (promoted && decision.next.promise.empty()) decision.next.promise = memory.promise;
  return decision;
}

Decision decide_to_open(const ClusterView& view, const ClusterMemory& memory, const FailoverPolicy& policy, Now now) {
  Decision decision = decide(view, memory, policy, now);
  decision.next.opens_when_commits_wait = false;
  return decision;
}

Decision decide_without_maintenance(const ClusterView& view, const ClusterMemory& memory, const FailoverPolicy& policy,
                                    Now now) {
  ClusterMemory believed = memory;
  believed.maintenance.reset();
  Decision decision = decide(view, believed, policy, now);
  decision.next.maintenance = memory.maintenance;
  return decision;
}

Decision decide_without_nodes_out(const ClusterView& view, const ClusterMemory& memory, const FailoverPolicy& policy,
                                  Now now) {
  ClusterMemory believed = memory;
  believed.nodes_maintained.clear();
  Decision decision = decide(view, believed, policy, now);
  decision.next.nodes_maintained = memory.nodes_maintained;
  return decision;
}

Decision decide_without_stop(const ClusterView& view, const ClusterMemory& memory, const FailoverPolicy& policy,
                             Now now) {
  const bool stopped = memory.phase == Phase::kStopped && running_order(memory, OrderKind::kStop) == nullptr &&
                       running_order(memory, OrderKind::kStart) == nullptr;
  if (!stopped) return decide(view, memory, policy, now);
  ClusterMemory believed = memory;
  believed.phase = Phase::kSteady;
  Decision decision = decide(view, believed, policy, now);
  if (decision.next == believed) decision.next = memory;
  return decision;
}

Decision decide_without_readers(const ClusterView& view, const ClusterMemory& memory, const FailoverPolicy& policy,
                                Now now) {
  Decision decision = decide(view, memory, policy, now);
  for (auto& action : decision.actions) {
    const NodeView* node = action.kind == ActionKind::kKeepSlot ? view.node(action.node) : nullptr;
    if (node != nullptr && node->answers_as_standby()) action.position = node->facts->checkpoint_redo;
  }
  return decision;
}

Decision decide_patiently(const ClusterView& view, const ClusterMemory& memory, const FailoverPolicy& policy, Now now) {
  FailoverPolicy patient = policy;
  patient.slow_standby_timeout = std::chrono::hours(1);
  return decide(view, memory, patient, now);
}

// In a cut of one direction it has all, and nobody hears it say so.
Decision decide_by_its_word(const ClusterView& view, const ClusterMemory& memory, const FailoverPolicy& policy,
                            Now now) {
  ClusterView believed = view;
  for (auto& [name, flush] : believed.flushes) {
    const NodeView* node = believed.node(name);
    if (node == nullptr || !node->answers_as_standby()) continue;
    if (node->facts->wal_receiver_streaming && node->facts->wal_receiver_written <= node->facts->wal_position)
      flush.stands_still_since.reset();
  }
  return decide(believed, memory, policy, now);
}

// They are taken for standbys that receive from nobody.
Decision decide_without_cutting_off(const ClusterView& view, const ClusterMemory& memory, const FailoverPolicy& policy,
                                    Now now) {
  ClusterView believed = view;
  const NodeView* primary = view.node(memory.primary);
  for (auto& node : believed.nodes) {
    if (primary == nullptr || !primary->answers_as_primary() || !node.answers_as_standby()) continue;
    if (streams_from(node, *primary)) continue;
    change_facts(node, [](NodeFacts& facts) {
      facts.wal_receiver_streaming = false;
      facts.primary_conninfo = kNowhere;
    });
  }
  return decide(believed, memory, policy, now);
}

// Changes what is seen of each node that answers.
Decision decide_on(const ClusterView& view, const ClusterMemory& memory, const FailoverPolicy& policy, Now now,
                   void (*change)(NodeFacts& facts, const NodeView& node, const ClusterMemory& memory)) {
  ClusterView believed = view;
  for (auto& node : believed.nodes) {
    if (node.facts) change_facts(node, [&](NodeFacts& facts) { change(facts, node, memory); });
  }
  return decide(believed, memory, policy, now);
}

}  // namespace

DecisionCore decision_core(Mutant mutant) {
  const auto seeing = [](auto change) {
    return [change](const ClusterView& view, const ClusterMemory& memory, const FailoverPolicy& policy, Now now) {
      return decide_on(view, memory, policy, now, change);
    };
  };
  switch (mutant) {
    case Mutant::kTooFewPositions:
      return decide_with_fewer_positions;
    case Mutant::kPromiseKept:
      return decide_with_old_promise;
    case Mutant::kOpenedAtOnce:
      return decide_to_open;
    case Mutant::kMaintenanceIgnored:
      return decide_without_maintenance;
    case Mutant::kNodeOutIgnored:
      return decide_without_nodes_out;
    case Mutant::kStopIgnored:
      return decide_without_stop;
    case Mutant::kSlotMovedTooFar:
      return decide_without_readers;
    case Mutant::kSlowStandbyKept:
      return decide_patiently;
    case Mutant::kItsWordIsEnough:
      return decide_by_its_word;
    case Mutant::kPartedLeft:
      return decide_without_cutting_off;
    case Mutant::kImpostorTrusted:
      return seeing([](NodeFacts& facts, const NodeView&, const ClusterMemory&) { trust_impostors(facts); });
    case Mutant::kPriorityFirst:
      return seeing([](NodeFacts& facts, const NodeView&, const ClusterMemory& memory) {
        if (facts.in_recovery && memory.phase == Phase::kFencing) facts.wal_position = Lsn{1};
      });
    case Mutant::kReplayedIsAll:
      return seeing([](NodeFacts& facts, const NodeView&, const ClusterMemory&) { facts.replays_own_wal = false; });
    case Mutant::kCatchUpNotAwaited:
      return seeing([](NodeFacts& facts, const NodeView&, const ClusterMemory&) {
        for (auto& sender : facts.wal_senders) sender.flushed = facts.wal_position;
      });
    case Mutant::kMeddlingIgnored:
      return seeing([](NodeFacts& facts, const NodeView& node, const ClusterMemory& memory) {
        if (node.name == memory.primary) facts.synchronous_standby_names = standby_names_text(memory.standby_names);
      });
    default:
      return decide;
  }
}

}  // namespace pgkeel::simulation
