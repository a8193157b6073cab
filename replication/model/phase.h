// Where a cluster is in the life of its route. Plain data.
#pragma once

namespace pgkeel {

enum class Phase {
  kUnadopted,  // no state yet: nobody knows which node is the primary
  kSteady,     // `primary` is the route of the epoch
  kDraining,   // a switchover or stop: `primary` is the route still, open transactions end, nobody new is let through
  kStopping,   // a switchover: the route is closed, and `primary` is shut down cleanly
  kReturning,  // `primary` is started again: a switchover is given up after that, or a stop is over
  kStopped,    // an operator stopped the cluster: every node is, or will be, shut down
  kTornDown,   // an operator tore the cluster down: what pgkeel set up is, or will be, taken back, and nobody is led
               // there
  kFencing,    // the intent of a failover is written: the old epoch's sessions end, the old primary is fenced
  kPromoting,  // the candidate is written: it may have been told to promote, and may be primary
};

constexpr Phase kAllPhases[] = {Phase::kUnadopted, Phase::kSteady,    Phase::kDraining,
                                Phase::kStopping,  Phase::kReturning, Phase::kStopped,
                                Phase::kTornDown,  Phase::kFencing,   Phase::kPromoting};

// A step of a switchover before its promotion.
constexpr bool is_planned(Phase phase) {
  return phase == Phase::kDraining || phase == Phase::kStopping || phase == Phase::kReturning;
}

constexpr const char* phase_name(Phase phase) {
  switch (phase) {
    case Phase::kUnadopted:
      return "unadopted";
    case Phase::kSteady:
      return "steady";
    case Phase::kDraining:
      return "draining";
    case Phase::kStopping:
      return "stopping";
    case Phase::kReturning:
      return "returning";
    case Phase::kStopped:
      return "stopped";
    case Phase::kTornDown:
      return "torn_down";
    case Phase::kFencing:
      return "fencing";
    case Phase::kPromoting:
      return "promoting";
  }
  return "unknown";
}

}  // namespace pgkeel
