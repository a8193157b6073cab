#include "proxy/base/time.h"

#include <doctest/doctest.h>

using namespace pgkeel;
using namespace std::chrono_literals;

TEST_CASE("times print as ISO 8601 with milliseconds in UTC") {
  CHECK(format_wall_time(WallTime(1'700'000'000'123ms)) == "2023-11-14T22:13:20.123Z");
}

TEST_CASE("durations print with a unit that fits") {
  CHECK(format_duration(250ms) == "250ms");
  CHECK(format_duration(1500ms) == "1.5s");
  CHECK(format_duration(10min) == "10m");
  CHECK(format_duration(200us) == "0.2ms");
}
