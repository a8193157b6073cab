// Virtual time: what happens next happens now. Events of the same moment run in the order in which they were made.
// Tests only, one thread.
#pragma once

#include <algorithm>
#include <cstdint>
#include <utility>
#include <vector>

#include "proxy/base/time.h"
#include "tests/simulation/work.h"

namespace pgkeel::simulation {

class EventQueue {
 public:
  [[nodiscard]] Instant now() const { return now_; }
  [[nodiscard]] Now both_clocks() const {
    return {now_, WallTime{std::chrono::hours(24 * 365 * 50)} + now_.time_since_epoch() + wall_jumps_};
  }
  void jump_wall_clock(Duration jump) { wall_jumps_ += jump; }

  void at(Instant when, Work work) {
    std::uint32_t place = 0;
    if (free_.empty()) {
      place = static_cast<std::uint32_t>(works_.size());
      works_.push_back(std::move(work));
    } else {
      place = free_.back();
      free_.pop_back();
      works_[place] = std::move(work);
    }
    events_.push_back({std::max(when, now_), made_++, place});
    std::push_heap(events_.begin(), events_.end(), Later());
  }
  void after(Duration pause, Work work) { at(now_ + pause, std::move(work)); }

  // Runs the next event, if it is due before `until`; else moves the clock there.
  bool run_next(Instant until) {
    if (events_.empty() || events_.front().when > until) {
      now_ = std::max(now_, until);
      return false;
    }
    std::pop_heap(events_.begin(), events_.end(), Later());
    const Event event = events_.back();
    events_.pop_back();
    now_ = event.when;
    Work work = std::move(works_[event.place]);
    free_.push_back(event.place);
    work();
    return true;
  }

 private:
  struct Event {
    Instant when;
    std::uint64_t number;
    std::uint32_t place;  // of its work
  };
  struct Later {
    bool operator()(const Event& left, const Event& right) const {
      return left.when != right.when ? left.when > right.when : left.number > right.number;
    }
  };

  Instant now_{std::chrono::hours(1)};
  Duration wall_jumps_{};
  std::uint64_t made_ = 0;
  std::vector<Event> events_;  // a heap
  std::vector<Work> works_;
  std::vector<std::uint32_t> free_;  // places of works that are over
};

}  // namespace pgkeel::simulation
