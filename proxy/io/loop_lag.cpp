#include "proxy/io/loop_lag.h"

#include <algorithm>
#include <chrono>

#include "proxy/io/clock.h"

namespace pgkeel {
namespace {

using namespace std::chrono_literals;

constexpr Duration kPeriod = 100ms;
constexpr Duration kWindow = 10s;

}  // namespace

LoopLag::LoopLag(Loop& loop)
    : measured_at_(monotonic_now()), window_began_at_(measured_at_), beat_(loop, kPeriod, [this] { measure(); }) {}

void LoopLag::measure() {
  const Instant now = monotonic_now();
  const Duration lag = std::max(now - measured_at_ - kPeriod, Duration::zero());
  if (now - window_began_at_ >= kWindow) {
    worst_before_.store(worst_now_.load(std::memory_order_relaxed), std::memory_order_relaxed);
    worst_now_.store(0, std::memory_order_relaxed);
    window_began_at_ = now;
  }
  worst_now_.store(std::max(worst_now_.load(std::memory_order_relaxed), lag.count()), std::memory_order_relaxed);
  measured_at_ = now;
}

Duration LoopLag::worst() const {
  return Duration(std::max(worst_now_.load(std::memory_order_relaxed), worst_before_.load(std::memory_order_relaxed)));
}

}  // namespace pgkeel
