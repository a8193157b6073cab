// Deliberate faults in what decides, or in what carries out the decisions: the checkers must find each. Tests only.
#pragma once

#include "replication/execute/cluster_controller.h"

namespace pgkeel::simulation {

enum class Mutant {
  kNone,
  // In what carries out the decisions.
  kStoreLost,                // some stores are never durable
  kStoreLate,                // announced first, durable later
  kCandidateForgotten,       // the state does not say that a candidate may have been promoted
  kEpochForgotten,           // the state does not say the newest epoch
  kRouteNotAwaited,          // route_applied is told before the workers have applied it
  kWorkerKeepsRoute,         // a worker keeps its sessions when the route closes
  kFenceLies,                // reported as proven stopped, but it runs
  kRejoinInPlace,            // a diverged node is started as it is
  kPromoteTwice,             // the promotion is sent to another standby too
  kWeakeningLate,            // a standby is released before it is written down as unsafe
  kFlagNotAwaited,           // a standby counts as soon as sync_state says so, whether backends wait or not
  kAcksNotProven,            // more standbys count as awaited as soon as they are named
  kNotCutOff,                // its walreceiver is ended, and nothing keeps it from coming back
  kCandidateNamesForgotten,  // synchronous_standby_names of the candidate stays as it is
  kWaitingNotProven,         // a promotion is done when the new primary writes, whether commits wait or not
  kKeptSlotsForgotten,       // the state does not say which slots of others are pgkeel's
  kSilenceIsDeath,           // an agent that does not answer is taken for the death of its server
  kOlderOrdersLeft,          // what was ordered and got no answer is left when something newer is ordered
  // In what decides.
  kTooFewPositions,     // one position less than needed is read
  kReplayedIsAll,       // a standby that still replays what it had when it started has no more than it says
  kPromiseKept,         // the promise outlives its epoch
  kImpostorTrusted,     // who bears a standby's name is taken for it
  kPriorityFirst,       // the highest priority is promoted, wherever its WAL ends
  kCatchUpNotAwaited,   // a standby is safe as soon as commits wait for it
  kMaintenanceIgnored,  // the cluster is looked after although it is under maintenance
  kNodeOutIgnored,      // … although this node is
  kStopIgnored,         // … although it is stopped
  kSlotMovedTooFar,     // a copy is moved on wherever its reader is
  kSlowStandbyKept,     // a standby whose disk stands still is waited for
  kItsWordIsEnough,     // a standby is taken for one that acknowledges because it says that it has all
  kPartedLeft,          // who has parted from the primary goes on receiving from a node that is made its standby
  kOpenedAtOnce,        // strictly, a primary that is adopted is opened whether commits wait or not
  kMeddlingIgnored,     // synchronous_standby_names is taken for what was ordered
};
constexpr Mutant kAllMutants[] = {Mutant::kStoreLost,          Mutant::kStoreLate,
                                  Mutant::kCandidateForgotten, Mutant::kEpochForgotten,
                                  Mutant::kRouteNotAwaited,    Mutant::kWorkerKeepsRoute,
                                  Mutant::kFenceLies,          Mutant::kRejoinInPlace,
                                  Mutant::kPromoteTwice,       Mutant::kWeakeningLate,
                                  Mutant::kFlagNotAwaited,     Mutant::kAcksNotProven,
                                  Mutant::kNotCutOff,          Mutant::kCandidateNamesForgotten,
                                  Mutant::kTooFewPositions,    Mutant::kPromiseKept,
                                  Mutant::kImpostorTrusted,    Mutant::kPriorityFirst,
                                  Mutant::kCatchUpNotAwaited,  Mutant::kMeddlingIgnored,
                                  Mutant::kSilenceIsDeath,     Mutant::kMaintenanceIgnored,
                                  Mutant::kNodeOutIgnored,     Mutant::kStopIgnored,
                                  Mutant::kKeptSlotsForgotten, Mutant::kSlotMovedTooFar,
                                  Mutant::kSlowStandbyKept,    Mutant::kItsWordIsEnough,
                                  Mutant::kPartedLeft,         Mutant::kOlderOrdersLeft,
                                  Mutant::kReplayedIsAll,      Mutant::kWaitingNotProven,
                                  Mutant::kOpenedAtOnce};
const char* mutant_name(Mutant mutant);

// It shows only where there are commits that must be kept; … and where they are on some of several standbys.
bool is_about_promises(Mutant mutant);
bool is_about_quorums(Mutant mutant);

// The decision core, with the fault where it is one of what decides.
DecisionCore decision_core(Mutant mutant);

}  // namespace pgkeel::simulation
