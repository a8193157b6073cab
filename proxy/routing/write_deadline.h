// Until when bytes of clients may be written to servers. Of several pgkeels each has such a deadline, which moves while
// it renews its lease: one that was frozen, and wakes up past it, writes nothing. A pgkeel that is alone has none. Any
// thread.
#pragma once

#include <atomic>

#include "proxy/base/time.h"
#include "proxy/io/clock.h"

namespace pgkeel {

class WriteDeadline {
 public:
  // Of the clock that goes on while the machine sleeps (since_boot()).
  void set(Instant until) { until_.store(until.time_since_epoch().count(), std::memory_order_relaxed); }

  // This pgkeel is one of several.
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
