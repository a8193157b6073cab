#include "health/stall_guard.h"

#include <doctest/doctest.h>

using namespace pgkeel;
using namespace std::chrono_literals;

TEST_CASE("ticks in time are no stall, and small gaps do not add up to one") {
  const Instant begin{1h};
  StallGuard guard(1s, begin);
  for (auto at = 0ms; at <= 10s; at += 1000ms) CHECK_FALSE(guard.tick(begin + at).has_value());
}

TEST_CASE("a gap longer than the threshold is a stall, told once, with its length") {
  const Instant begin{1h};
  StallGuard guard(1s, begin);
  CHECK(guard.tick(begin + 1001ms) == 1001ms);
  CHECK_FALSE(guard.tick(begin + 1001ms).has_value());
  CHECK_FALSE(guard.tick(begin + 2001ms).has_value());
  CHECK(guard.tick(begin + 10s) == 7999ms);
}
