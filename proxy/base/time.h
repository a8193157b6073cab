// Points in time and spans of it. These types only hold a time; the real clocks are read in proxy/io/clock.h and come
// in as parameters everywhere else, so that decisions can be replayed and simulated.
#pragma once

#include <chrono>
#include <cstdint>
#include <string>

namespace pgkeel {

using Duration = std::chrono::nanoseconds;

// Never goes back, and does not count while the machine sleeps; meaningless outside this process.
struct MonotonicClock {
  using duration = Duration;
  using rep = duration::rep;
  using period = duration::period;
  using time_point = std::chrono::time_point<MonotonicClock, duration>;
  static constexpr bool is_steady = true;
};
using Instant = MonotonicClock::time_point;

// Since 1970-01-01 UTC; may jump. For people, for records, and for limits that must survive a restart.
struct WallClock {
  using duration = Duration;
  using rep = duration::rep;
  using period = duration::period;
  using time_point = std::chrono::time_point<WallClock, duration>;
  static constexpr bool is_steady = false;
};
using WallTime = WallClock::time_point;

// Both clocks, read together.
struct Now {
  Instant instant;
  WallTime wall;
};

constexpr std::int64_t to_milliseconds(Duration duration) {
  return std::chrono::duration_cast<std::chrono::milliseconds>(duration).count();
}

// "2026-11-23T08:15:30.123Z"
std::string format_wall_time(WallTime time);

// "250ms", "1.5s", "10m": at most three significant digits, for people.
std::string format_duration(Duration duration);

}  // namespace pgkeel
