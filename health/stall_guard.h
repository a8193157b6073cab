// Tells whether this process was asleep: stopped, starved of CPU, or kept busy by one long callback. What happened to
// expire meanwhile says nothing of anybody else. Pure: is told the time. Loop's thread only.
#pragma once

#include <optional>

#include "proxy/base/time.h"

namespace pgkeel {

class StallGuard {
 public:
  // tick() is called several times per `threshold` as long as the loop turns; a longer gap is a stall.
  StallGuard(Duration threshold, Instant created_at) : threshold_(threshold), last_tick_(created_at) {}

  void set_threshold(Duration threshold) { threshold_ = threshold; }

  // How long this process was asleep, where it was. Call it before judging anything by the clock: libuv runs due
  // timers before it reads sockets, so after a stall a deadline comes first and the answer that made it second.
  [[nodiscard]] std::optional<Duration> tick(Instant now) {
    const Duration gap = now - last_tick_;
    last_tick_ = now;
    if (gap <= threshold_) return std::nullopt;
    return gap;
  }

 private:
  Duration threshold_;
  Instant last_tick_;
};

}  // namespace pgkeel
