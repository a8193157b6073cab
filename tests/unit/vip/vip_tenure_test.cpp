#include "proxy/vip/vip_tenure.h"

#include <algorithm>
#include <string>

#include <doctest/doctest.h>

#include "tests/fuzz/fuzz.h"

using namespace pgkeel;
using namespace pgkeel::test;
using namespace std::chrono_literals;

namespace {

using Kind = VipWork::Kind;

const Instant kStart{1000s};

// Plays the kernel: it keeps the address to the end that it was told, and up to kKernelLateness longer.
struct Host {
  VipTenure tenure;
  Instant now = kStart;
  bool has_address = false;
  Instant gone_at_latest{};
  Instant kept_until{};  // at least
  int sets = 0;
  int announcements = 0;
  int farewells = 0;
  int stays = 0;

  // All that is to be done now; when to come again.
  Instant work() {
    for (int round = 0;; ++round) {
      REQUIRE(round < 10);
      const VipWork work = tenure.step(now);
      switch (work.kind) {
        case Kind::kNothing:
          REQUIRE(work.again_at > now);
          return work.again_at;
        case Kind::kSet:
          REQUIRE(work.lifetime_seconds >= 1);
          CHECK(work.taken_anew == !tenure.is_held());
          ++sets;
          has_address = true;
          kept_until = now + work.lifetime_seconds * 1s;
          gone_at_latest = kept_until + VipTenure::kKernelLateness;
          CHECK(gone_at_latest <= tenure.until());
          tenure.was_set(now, work.lifetime_seconds);
          break;
        case Kind::kFarewell:
          CHECK(has_address);
          ++farewells;
          tenure.said_farewell();
          break;
        case Kind::kStay:
          CHECK(has_address);
          ++stays;
          tenure.said_stay();
          break;
        case Kind::kRemove:
          has_address = false;
          tenure.was_removed();
          break;
        case Kind::kAnnounce:
          ++announcements;
          tenure.was_announced(now);
          break;
      }
    }
  }

  void run_until(Instant end) {
    for (Instant next = work(); next <= end; next = work()) now = next;
    now = end;
    work();
  }
};

}  // namespace

TEST_CASE("an address that may not be held is not taken") {
  Host host;
  CHECK(host.work() == Instant::max());
  host.tenure.hold(kStart - 1s);
  CHECK(host.work() == Instant::max());
  CHECK_FALSE(host.has_address);
}

TEST_CASE("it is taken and announced at once, several times, then now and again") {
  Host host;
  host.tenure.hold(kStart + 200s);
  host.work();
  CHECK(host.has_address);
  CHECK(host.announcements == 1);
  host.run_until(kStart + 4s);
  CHECK(host.announcements == 6);
  host.run_until(kStart + 100s);
  CHECK(host.announcements == 9);
}

TEST_CASE("the kernel's end comes before the deadline, however late the kernel is") {
  Host host;
  host.tenure.hold(kStart + 3s);
  host.work();
  CHECK(host.kept_until == kStart + 1s);
  CHECK(host.gone_at_latest <= kStart + 3s);
}

TEST_CASE("too little time to tell the kernel of: it is not taken, but kept where it is held") {
  Host host;
  host.tenure.hold(kStart + 2s);
  CHECK(host.work() == Instant::max());
  CHECK_FALSE(host.has_address);

  Host holder;
  holder.tenure.hold(kStart + 3s);
  holder.run_until(kStart + 1500ms);
  CHECK(holder.has_address);
  CHECK(holder.kept_until >= kStart + 1650ms);
}

TEST_CASE("a hold that is not prolonged ends just before its deadline") {
  Host host;
  host.tenure.hold(kStart + 20s);
  host.run_until(kStart + 19950ms);
  CHECK(host.has_address);
  host.run_until(kStart + 20s);
  CHECK_FALSE(host.has_address);
  CHECK(host.work() == Instant::max());
}

TEST_CASE("it says farewell before it goes, once, and not where it is prolonged in time") {
  Host host;
  host.tenure.hold(kStart + 20s);
  host.run_until(kStart + 18400ms);
  CHECK(host.farewells == 0);
  // From then on the kernel may remove it.
  host.run_until(host.kept_until - 150ms);
  CHECK(host.has_address);
  CHECK(host.farewells == 1);
  host.run_until(kStart + 20s);
  CHECK(host.farewells == 1);

  Host renewed;
  for (int renewal = 0; renewal < 40; ++renewal) {
    renewed.tenure.hold(renewed.now + 3s);
    renewed.run_until(renewed.now + 500ms);
  }
  CHECK(renewed.farewells == 0);
  // No renewal comes any more: it is said before the kernel removes the address, which is long before the deadline.
  const Instant last = renewed.now;
  while (renewed.farewells == 0) renewed.run_until(renewed.now + 10ms);
  CHECK(renewed.now < renewed.kept_until);
  CHECK(renewed.now > last);
  // One that comes now is in time for the address, and the next end is said anew.
  renewed.tenure.hold(renewed.now + 3s);
  renewed.work();
  CHECK(renewed.stays == 1);
  renewed.run_until(renewed.now + 2900ms);
  CHECK(renewed.farewells == 2);
  CHECK(renewed.stays == 1);
}

TEST_CASE("one that another shall have says farewell at once, and goes when it was asked to") {
  Host host;
  host.tenure.hold(kStart + 20s);
  host.run_until(kStart + 5s);
  host.tenure.leave(host.now + 1100ms, kStart + 20s);
  host.work();
  CHECK(host.farewells == 1);
  CHECK(host.tenure.goes_at() == host.now + 1100ms);
  host.run_until(kStart + 6050ms);
  CHECK(host.has_address);
  CHECK(host.farewells == 1);
  host.run_until(kStart + 6100ms);
  CHECK_FALSE(host.has_address);
  // Nor is it taken anew, though it might be held for longer.
  CHECK(host.work() == Instant::max());
  // Everybody has been told before.
  Host told;
  told.tenure.hold(kStart + 20s);
  told.work();
  told.tenure.leave(told.now + 1100ms, kStart + 20s);
  told.work();
  told.tenure.leave({}, {});
  told.work();
  CHECK_FALSE(told.has_address);
}

TEST_CASE("one that leaves is not held past its time, nor after the kernel's, of which it tells; both may move") {
  Host host;
  host.tenure.hold(kStart + 3s);
  host.run_until(kStart + 1500ms);
  host.tenure.leave(host.now + 5s, kStart + 3s);
  host.work();
  CHECK(host.tenure.goes_at() == host.kept_until);
  const int farewells = host.farewells;
  host.tenure.leave(kStart + 6500ms, kStart + 4500ms);
  host.work();
  CHECK(host.tenure.goes_at() == kStart + 2500ms);
  CHECK(host.kept_until == kStart + 2500ms);
  CHECK(host.farewells == farewells);
  CHECK(host.stays == 0);
  host.run_until(kStart + 4500ms);
  CHECK_FALSE(host.has_address);
}

TEST_CASE("one that leaves when its time has run out once says farewell anew: others have come since") {
  Host host;
  host.tenure.hold(kStart + 3s);
  while (host.farewells == 0) host.run_until(host.now + 10ms);
  host.tenure.leave(host.now + 1s, host.now + 20s);
  host.work();
  CHECK(host.farewells == 2);
  CHECK(host.stays == 0);
  host.tenure.leave(host.now + 1s, host.now + 20s);
  host.work();
  CHECK(host.farewells == 2);
}

TEST_CASE("one that leaves, and is to be held after all, stays") {
  Host host;
  host.tenure.hold(kStart + 20s);
  host.work();
  host.tenure.leave(host.now + 1s, kStart + 20s);
  host.run_until(kStart + 500ms);
  host.tenure.hold(host.now + 20s);
  host.work();
  CHECK(host.stays == 1);
  host.run_until(kStart + 10s);
  CHECK(host.has_address);
  CHECK(host.farewells == 1);
}

TEST_CASE("what somebody removes while it leaves is not taken anew") {
  Host host;
  host.tenure.hold(kStart + 20s);
  host.work();
  host.tenure.leave(host.now + 1s, kStart + 20s);
  host.work();
  host.has_address = false;
  host.tenure.vanished();
  CHECK(host.work() == Instant::max());
  CHECK(host.sets == 1);
}

TEST_CASE("an address that another process left is prolonged at once, and not announced anew; or removed") {
  Host host;
  host.tenure.was_left_by_another();
  host.has_address = true;
  host.tenure.hold(kStart + 3s);
  host.work();
  CHECK(host.sets == 1);
  CHECK(host.farewells == 0);
  CHECK(host.announcements == 0);
  Host other;
  other.tenure.was_left_by_another();
  other.has_address = true;
  other.tenure.release();
  other.work();
  CHECK_FALSE(other.has_address);
}

TEST_CASE("a release removes it at once, and only a new hold takes it again") {
  Host host;
  host.tenure.hold(kStart + 20s);
  host.work();
  host.tenure.release();
  CHECK(host.work() == Instant::max());
  CHECK_FALSE(host.has_address);
  host.run_until(kStart + 5s);
  CHECK_FALSE(host.has_address);
  host.tenure.hold(host.now + 5s);
  host.work();
  CHECK(host.has_address);
}

TEST_CASE("renewed like a lease of four seconds, it stays without a gap, and the kernel is told no more than needed") {
  Host host;
  for (int renewal = 0; renewal < 40; ++renewal) {
    host.tenure.hold(host.now + 3s);
    host.run_until(host.now + 500ms);
    CHECK(host.has_address);
    CHECK(host.kept_until > host.now);
  }
  CHECK(host.sets <= 41);
  // A long one, renewed more often.
  Host other;
  for (int renewal = 0; renewal < 40; ++renewal) {
    other.tenure.hold(other.now + 20s);
    other.run_until(other.now + 250ms);
  }
  CHECK(other.sets <= 21);
}

TEST_CASE("renewals that come late, and timers too: it is kept as long as it can be") {
  Host host;
  host.tenure.hold(kStart + 3s);
  host.run_until(kStart + 690ms);
  host.now += 15ms;
  host.work();
  CHECK(host.kept_until >= kStart + 1690ms);
  host.now = kStart + 1600ms;
  host.tenure.hold(kStart + 3500ms);  // of a renewal at 0.5 s that was answered now
  host.work();
  CHECK(host.has_address);
}

TEST_CASE("a process that was stopped past its deadline removes, and takes nothing anew") {
  Host host;
  host.tenure.hold(kStart + 3s);
  host.work();
  host.now = kStart + 60s;
  CHECK(host.tenure.step(host.now).kind == Kind::kRemove);
  host.work();
  CHECK_FALSE(host.has_address);
}

TEST_CASE("what somebody else removed is taken anew and announced anew, as long as it may be held") {
  Host host;
  host.tenure.hold(kStart + 20s);
  host.run_until(kStart + 10s);
  const int announced = host.announcements;
  host.has_address = false;
  host.tenure.vanished();
  host.work();
  CHECK(host.has_address);
  CHECK(host.announcements == announced + 1);
  host.now = kStart + 30s;
  host.has_address = false;
  host.tenure.vanished();
  host.work();
  CHECK_FALSE(host.has_address);
}

TEST_CASE("what could not be set is tried again soon, not in a circle") {
  VipTenure tenure;
  tenure.hold(kStart + 20s);
  CHECK(tenure.step(kStart).kind == Kind::kSet);
  tenure.was_not_set(kStart);
  const VipWork work = tenure.step(kStart);
  CHECK(work.kind == Kind::kNothing);
  CHECK(work.again_at == kStart + 200ms);
  CHECK(tenure.step(work.again_at).kind == Kind::kSet);
}

TEST_CASE("a link that comes back is told anew") {
  Host host;
  host.tenure.hold(kStart + 100s);
  host.run_until(kStart + 10s);
  const int announced = host.announcements;
  host.tenure.link_came_back(host.now);
  host.run_until(host.now + 4s);
  CHECK(host.announcements == announced + 6);
}

TEST_CASE("random holds, leaves, releases and stalls: the kernel is never told too much, and it always comes to rest") {
  for_seeds(300, [](std::uint64_t seed) {
    Random random(seed);
    const auto up_to = [&](std::uint64_t most) { return std::chrono::milliseconds(random.below(most)); };
    Host host;
    for (int step = 0; step < 200; ++step) {
      const auto what = random.below(12);
      if (what >= 10) host.tenure.leave(host.now + up_to(1'500), host.now + up_to(12'000));
      if (what < 7) host.tenure.hold(host.now + up_to(12'000));
      if (what == 7) host.tenure.release();
      if (what == 8) host.tenure.was_not_set(host.now);
      const Instant next = host.work();
      host.now = std::min(next, host.now + up_to(what == 9 ? 20'000 : 900)) + 1ms;
    }
  });
}
