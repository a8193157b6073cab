#include "replication/execute/clock_distance.h"

#include <doctest/doctest.h>

using namespace pgkeel;
using namespace std::chrono_literals;

TEST_CASE("of what arrived lately the shortest way tells how far apart two clocks are") {
  ClockDistance distance;
  const Instant start{1000s};
  CHECK(distance.heard(900s, start + 5ms) == 100s + 5ms);
  CHECK(distance.heard(901s, start + 1s + 2ms) == 100s + 2ms);
  CHECK(distance.heard(902s, start + 2s + 50ms) == 100s + 2ms);
}

TEST_CASE("a clock that runs slower than ours is measured anew, within a minute") {
  ClockDistance distance;
  const Instant start{1000s};
  Duration newest{};
  for (int second = 0; second <= 86400; ++second) {
    const Duration since = std::chrono::seconds(second);
    newest = distance.heard(900s + since - since / 50000, start + since);  // 20 parts in a million
    const Duration exact = 100s + since / 50000;
    CHECK(newest <= exact);
    REQUIRE(newest >= exact - 2ms);
  }
}

TEST_CASE("after a pause nothing older counts") {
  ClockDistance distance;
  CHECK(distance.heard(900s, Instant{1000s}) == 100s);
  CHECK(distance.heard(900s, Instant{1100s}) == 200s);
}
