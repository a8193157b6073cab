// Virtual time: what happens next happens now. Events of the same moment run in the order in which they were made.
// Tests only, one thread.
#pragma once

#include <algorithm>
#include <cstdint>
#include <functional>
#include <utility>
#include <vector>

#include "proxy/base/time.h"

namespace pgkeel::simulation {

class EventQueue {
 public:
  using Work = std::function<void()>;

  [[nodiscard]] Instant now() const { return now_; }
  [[nodiscard]] Now both_clocks() const {
    return {now_, WallTime{std::chrono::hours(24 * 365 * 50)} + now_.time_since_epoch() + wall_jumps_};
  }
  void jump_wall_clock(Duration jump) { wall_jumps_ += jump; }

  void at(Instant when, Work work) {
    events_.push_back({std::max(when, now_), made_++, std::move(work)});
    std::ranges::push_heap(events_, later);
  }
  void after(Duration pause, Work work) { at(now_ + pause, std::move(work)); }

  // Runs the next event, if it is due before `until`; else moves the clock there.
  bool run_next(Instant until) {
    if (events_.empty() || events_.front().when > until) {
      now_ = std::max(now_, until);
      return false;
    }
    std::ranges::pop_heap(events_, later);
    Event event = std::move(events_.back());
    events_.pop_back();
    now_ = event.when;
    event.work();
    return true;
  }

 private:
  struct Event {
    Instant when;
    std::uint64_t number;
    Work work;
  };
  static bool later(const Event& left, const Event& right) {
    return std::pair(left.when, left.number) > std::pair(right.when, right.number);
  }

  Instant now_{std::chrono::hours(1)};
  Duration wall_jumps_{};
  std::uint64_t made_ = 0;
  std::vector<Event> events_;
};

}  // namespace pgkeel::simulation
