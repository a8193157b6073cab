#include "proxy/io/beat.h"

#include <cassert>
#include <sys/timerfd.h>
#include <utility>

namespace pgkeel {

Beat::Beat(Loop& loop, Duration period, std::function<void()> on_beat)
    : period_(period),
      on_beat_(std::move(on_beat)),
      clock_(timerfd_create(CLOCK_MONOTONIC, TFD_NONBLOCK | TFD_CLOEXEC)),
      watch_(loop, clock_.number(), [this](FdInterest) {
        wait_for_next();
        on_beat_();
      }) {
  assert(clock_.is_open());
  watch_.set_interest({.readable = true});
  wait_for_next();
}

// Set anew, it is not readable any more.
void Beat::wait_for_next() {
  const auto seconds = std::chrono::floor<std::chrono::seconds>(period_);
  itimerspec once{};
  once.it_value.tv_sec = seconds.count();
  once.it_value.tv_nsec = std::chrono::nanoseconds(period_ - seconds).count();
  const int status = timerfd_settime(clock_.number(), 0, &once, nullptr);
  assert(status == 0);
}

}  // namespace pgkeel
