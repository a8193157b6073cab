// Where a cluster is in the life of its route. Plain data.
#pragma once

namespace pgkeel {

enum class Phase {
  kUnadopted,  // no state yet: nobody knows which node is the primary
  kSteady,     // `primary` is the route of the epoch
  kFencing,    // the intent of a failover is written: the old epoch's sessions end, the old primary is fenced
  kPromoting,  // the candidate is written: it may have been told to promote, and may be primary
};

constexpr const char* phase_name(Phase phase) {
  switch (phase) {
    case Phase::kUnadopted:
      return "unadopted";
    case Phase::kSteady:
      return "steady";
    case Phase::kFencing:
      return "fencing";
    case Phase::kPromoting:
      return "promoting";
  }
  return "unknown";
}

}  // namespace pgkeel
