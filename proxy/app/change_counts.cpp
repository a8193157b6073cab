#include "proxy/app/change_counts.h"

namespace pgkeel {

void ChangeCounts::stored(Phase before, Phase after, bool is_switchover, Instant now) {
  if (after == Phase::kDraining) switchover_began_ = now;
  if (after == Phase::kFencing && before != Phase::kPromoting) {  // also one that a switchover became
    failover_began_ = now;
    switchover_began_ = {};
  }
  if (after != Phase::kSteady) return;
  if (failover_began_ != Instant{}) {
    ++failovers_;
    last_failover_ = now - failover_began_;
  } else if (switchover_began_ != Instant{} && before == Phase::kPromoting) {
    ++switchovers_;
    last_switchover_ = now - switchover_began_;
  } else if (before == Phase::kPromoting) {
    ++(is_switchover ? switchovers_ : failovers_);
  }
  failover_began_ = switchover_began_ = {};
}

}  // namespace pgkeel
