// Until when something may be done, by the clock that goes on while the machine sleeps: a process that was frozen sees
// here that its time is over before it has noticed anything else. One that nobody sets is never over. Any thread.
#pragma once

#include <atomic>

#include "proxy/base/time.h"
#include "proxy/io/clock.h"

namespace pgkeel {

class BootDeadline {
 public:
  // since_boot()
  void set(Instant until) { until_.store(until.time_since_epoch().count(), std::memory_order_relaxed); }

  [[nodiscard]] bool is_set() const { return until_.load(std::memory_order_relaxed) != kNone; }

  [[nodiscard]] bool is_over() const {
    const Instant::rep until = until_.load(std::memory_order_relaxed);
    return until != kNone && since_boot().count() >= until;
  }

 private:
  static constexpr Instant::rep kNone = Instant::max().time_since_epoch().count();

  std::atomic<Instant::rep> until_{kNone};
};

}  // namespace pgkeel
