#include "proxy/vip/vip_decision.h"

#include <doctest/doctest.h>

using namespace pgkeel;
using namespace std::chrono_literals;

namespace {

const Instant kUntil{100s};

SharedRoute held_by(const char* node, std::uint64_t serial = 5) {
  return {.serial = serial, .epoch = 1, .node = node, .mode = RouteMode::kNormal, .reason = ""};
}

struct Situation {
  explicit Situation(const char* holder) : route(held_by(holder)) {
    plain.name = "left";
    plain.agreed = plain.newest = &route;
    plain.may_hold_until = kUntil;
  }
  [[nodiscard]] VipDecision decide() const { return decide_vip(plain); }

  SharedRoute route;
  VipSituation plain;
};

}  // namespace

TEST_CASE("the one that is named holds it for as long as it may route, leader or not") {
  Situation situation("left");
  CHECK(situation.decide().hold_until == kUntil);
  CHECK(situation.decide().acknowledge == 5);
  CHECK_FALSE(situation.decide().write);
  situation.plain.leads = true;
  CHECK_FALSE(situation.decide().write);
}

TEST_CASE("who is not named releases it, and says so when it is gone") {
  for (const char* holder : {"", "right"}) {
    Situation situation(holder);
    situation.plain.is_held = true;
    situation.plain.granted_until = {};
    situation.plain.may_hold_until = {};
    CHECK(situation.decide().hold_until == Instant{});
    CHECK_FALSE(situation.decide().acknowledge);
    situation.plain.is_held = false;
    CHECK(situation.decide().acknowledge == 5);
    CHECK_FALSE(situation.decide().write);
  }
}

TEST_CASE("who is to give it up keeps it a moment longer, to tell clients, for as long as it may route") {
  Situation situation("");
  situation.plain.is_held = true;
  situation.plain.granted_until = kUntil;
  situation.plain.now = 10s + Instant{};
  const VipDecision first = situation.decide();
  CHECK(first.leaving_since == situation.plain.now);
  CHECK(first.leave_by == situation.plain.now + kVipFarewell);
  CHECK(first.hold_until == kUntil);
  CHECK_FALSE(first.acknowledge);
  situation.plain.leaving_since = first.leaving_since;
  situation.plain.now += 50ms;
  CHECK(situation.decide().leave_by == first.leave_by);
  // The lease is renewed, and does not hold for what is not followed yet where it is a new one.
  situation.plain.may_hold_until = kUntil + 1s;
  CHECK(situation.decide().hold_until == kUntil + 1s);
  situation.plain.may_hold_until = {};
  CHECK(situation.decide().hold_until == kUntil);
  situation.plain.everybody_is_told = true;
  CHECK(situation.decide().hold_until == Instant{});
  situation.plain.everybody_is_told = false;
  situation.plain.is_held = false;
  CHECK_FALSE(situation.decide().leaving_since);
  CHECK(situation.decide().acknowledge == 5);
}

TEST_CASE("what is another's already is released at once, whatever was granted") {
  Situation situation("right");
  situation.plain.is_held = true;
  situation.plain.granted_until = kUntil;
  CHECK(situation.decide().hold_until == Instant{});
  CHECK(situation.decide().leaving_since);
  CHECK_FALSE(situation.decide().acknowledge);
}

TEST_CASE("who ends keeps it, and takes nothing, though it should lead once more") {
  Situation situation("left");
  situation.plain.leads = true;
  situation.plain.takes_nothing = true;
  CHECK(situation.decide().hold_until == Instant{});
  situation.plain.is_held = true;
  CHECK(situation.decide().hold_until == kUntil);
  for (const char* holder : {"", "right"}) {
    Situation another(holder);
    another.plain.leads = true;
    another.plain.closed_elsewhere = true;
    CHECK(another.decide().write);
    another.plain.takes_nothing = true;
    CHECK_FALSE(another.decide().write);
    CHECK(another.decide().acknowledge == 5);
  }
  // What it holds, and another one shall have, it gives up as ever.
  Situation leaving("");
  leaving.plain.is_held = leaving.plain.takes_nothing = true;
  CHECK(leaving.decide().leaving_since);
}

TEST_CASE("a leader takes it from another only when that one has given it up") {
  Situation situation("right");
  situation.plain.leads = true;
  situation.plain.closed_elsewhere = true;
  CHECK(situation.decide().write == "");
  Situation closed("");
  closed.plain.leads = true;
  CHECK_FALSE(closed.decide().write);
  closed.plain.closed_elsewhere = true;
  CHECK(closed.decide().write == "left");
}

TEST_CASE("the first leader ever begins with nobody, as others may have been told nothing yet") {
  Situation situation("");
  situation.plain.agreed = situation.plain.newest = nullptr;
  CHECK_FALSE(situation.decide().write);
  CHECK_FALSE(situation.decide().acknowledge);
  CHECK(situation.decide().hold_until == Instant{});
  situation.plain.leads = true;
  CHECK(situation.decide().write == "");
}

TEST_CASE("what another pgkeel told is newer than etcd's last word: it counts") {
  Situation situation("left");
  const SharedRoute told = held_by("right", 6);
  situation.plain.newest = &told;
  situation.plain.is_held = true;
  situation.plain.may_hold_until = {};
  CHECK(situation.decide().hold_until == Instant{});
  CHECK_FALSE(situation.decide().acknowledge);
  situation.plain.is_held = false;
  CHECK(situation.decide().acknowledge == 6);
}
