#include "proxy/io/beat.h"

#include <memory>
#include <vector>

#include <doctest/doctest.h>

#include "proxy/io/clock.h"
#include "tests/unit/io/loop_runner.h"

using namespace pgkeel;
using namespace pgkeel::test;
using namespace std::chrono_literals;

TEST_CASE("a beat comes again and again, never sooner than its period, and no more when it is gone") {
  Loop loop;
  std::vector<Instant> heard = {monotonic_now()};
  auto beat = std::make_unique<Beat>(loop, 20ms, [&] { heard.push_back(monotonic_now()); });
  REQUIRE(run_until(loop, [&] { return heard.size() > 4; }));
  for (std::size_t at = 2; at < heard.size(); ++at) CHECK(heard[at] - heard[at - 1] >= 19ms);
  beat.reset();
  const std::size_t before = heard.size();
  bool later = false;
  Timer after(loop, [&] { later = true; });
  after.start_once(60ms);
  REQUIRE(run_until(loop, [&] { return later; }));
  CHECK(heard.size() == before);
}

TEST_CASE("a loop on which nothing but beats goes on waits without a time-out") {
  Loop loop;
  std::vector<bool> had_time_out;
  Timer timer(loop, [] {});
  Beat beat(loop, 10ms, [&] {
    had_time_out.push_back(loop.waits_with_time_out());
    if (had_time_out.size() == 2) timer.start_once(1h);
    if (had_time_out.size() == 3) loop.stop();
  });
  loop.run();
  CHECK(had_time_out == std::vector{false, false, true});
}
