#include "replication/coordination/inability.h"

#include <doctest/doctest.h>

using namespace pgkeel;
using namespace std::chrono_literals;

namespace {

const Instant kNow{1h};
const Obstacles kOrders = {{"orders", {"no order gets to a", "a"}}};

}  // namespace

TEST_CASE("one that leads and cannot decide is given a while, counted from when it last could") {
  Inability inability;
  inability.look(true, kOrders, kNow);
  REQUIRE(inability.lasts_from().has_value());
  CHECK(*inability.lasts_from() == kNow + kDecidesWithin);
  inability.look(true, kOrders, kNow + 4s);
  CHECK(*inability.lasts_from() == kNow + kDecidesWithin);
  inability.look(true, {}, kNow + 5s);
  CHECK_FALSE(inability.lasts_from().has_value());
  inability.look(true, kOrders, kNow + 6s);
  CHECK(*inability.lasts_from() == kNow + 6s + kDecidesWithin);
}

TEST_CASE("one that does not lead has nothing to give up, and tells what would be in the way") {
  Inability inability;
  inability.look(false, kOrders, kNow);
  CHECK_FALSE(inability.lasts_from().has_value());
  CHECK(inability.told(kNow) == std::map<std::string, std::string>{{"orders", "no order gets to a"}});
  inability.look(false, {}, kNow + 1s);
  CHECK(inability.told(kNow + 1s).empty());
}

TEST_CASE("one that gave the leadership up says so until its pause is over; the pauses grow, to a limit") {
  Inability inability;
  Instant now = kNow;
  Duration pause = kFirstPauseOfUnable;
  for (int time = 0; time < 8; ++time) {
    inability.look(true, kOrders, now);
    inability.handed_over(now);
    inability.look(false, {}, now);
    CHECK_FALSE(inability.lasts_from().has_value());
    CHECK(inability.told(now + pause - 1ms).at("orders").starts_with("it led, and could not: no order gets to a"));
    CHECK(inability.told(now + pause).empty());
    now += pause;
    pause = std::min(2 * pause, kLongestPauseOfUnable);
  }
  CHECK(pause == kLongestPauseOfUnable);
}

TEST_CASE("one that leads again and can decide for a while is as good as any") {
  Inability inability;
  inability.look(true, kOrders, kNow);
  inability.handed_over(kNow);
  inability.look(true, {}, kNow + 1s);
  CHECK_FALSE(inability.told(kNow + 1s).empty());
  inability.look(true, {}, kNow + 1s + kDecidesWithin);
  CHECK(inability.told(kNow + 1s + kDecidesWithin).empty());
  inability.look(true, kOrders, kNow + 20s);
  inability.handed_over(kNow + 20s);
  inability.look(false, {}, kNow + 20s);
  CHECK(inability.told(kNow + 20s + kFirstPauseOfUnable).empty());
}
