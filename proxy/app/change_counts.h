// Changes of a cluster's primary that this process has finished, and how long the newest took that it began, too; fed
// with each change of phase that is stored. Pure. One thread.
#pragma once

#include <cstdint>

#include "proxy/base/time.h"
#include "replication/model/phase.h"

namespace pgkeel {

class ChangeCounts {
 public:
  // `is_switchover`: an order for one is carried out, which tells what an earlier process had begun.
  void stored(Phase before, Phase after, bool is_switchover, Instant now);

  [[nodiscard]] std::uint64_t failovers() const { return failovers_; }
  [[nodiscard]] Duration last_failover() const { return last_failover_; }  // from the intent to the new route
  [[nodiscard]] std::uint64_t switchovers() const { return switchovers_; }
  [[nodiscard]] Duration last_switchover() const { return last_switchover_; }  // from the begin of its drain

 private:
  std::uint64_t failovers_ = 0;
  Instant failover_began_{};
  Duration last_failover_{};
  std::uint64_t switchovers_ = 0;
  Instant switchover_began_{};
  Duration last_switchover_{};
};

}  // namespace pgkeel
