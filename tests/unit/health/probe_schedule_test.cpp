#include "health/probe_schedule.h"

#include <doctest/doctest.h>

using namespace pgkeel;
using namespace std::chrono_literals;

TEST_CASE("probes begin an interval apart, sooner to confirm, at once when asked, and never in a rush") {
  const Instant begin{1h};
  ProbeTimes times{
      .last_started_at = begin, .last_finished_at = begin + 2ms, .confirm_at = Instant::max(), .asked_for_now = false};
  CHECK(next_probe_at(times, 500ms, 0) == begin + 500ms);
  CHECK(next_probe_at(times, 500ms, 1) == begin + 525ms);
  CHECK(next_probe_at(times, 500ms, -1) == begin + 475ms);

  times.confirm_at = begin + 152ms;
  CHECK(next_probe_at(times, 500ms, 0) == begin + 152ms);
  times.confirm_at = begin + 800ms;
  CHECK(next_probe_at(times, 500ms, 0) == begin + 500ms);
  times.confirm_at = begin + 1ms;
  CHECK(next_probe_at(times, 500ms, 0) == begin + 20ms);

  times.confirm_at = Instant::max();
  times.asked_for_now = true;
  CHECK(next_probe_at(times, 500ms, 0) == begin + 20ms);
  times.last_finished_at = begin + 90ms;
  CHECK(next_probe_at(times, 500ms, 0) == begin + 90ms);

  times.asked_for_now = false;
  times.last_finished_at = begin + 1s;  // timed out
  CHECK(next_probe_at(times, 500ms, 0) == begin + 1s);
}
