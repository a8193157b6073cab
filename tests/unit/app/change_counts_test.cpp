#include "proxy/app/change_counts.h"

#include <doctest/doctest.h>

using namespace pgkeel;
using namespace std::chrono_literals;

namespace {

constexpr Instant kStart{1h};

}  // namespace

TEST_CASE("a failover and a switchover are counted when their route is open, with what they took") {
  ChangeCounts counts;
  counts.stored(Phase::kSteady, Phase::kFencing, false, kStart);
  counts.stored(Phase::kFencing, Phase::kPromoting, false, kStart + 1s);
  CHECK(counts.failovers() == 0);
  counts.stored(Phase::kPromoting, Phase::kSteady, false, kStart + 3s);
  CHECK(counts.failovers() == 1);
  CHECK(counts.last_failover() == 3s);
  counts.stored(Phase::kSteady, Phase::kDraining, true, kStart + 10s);
  counts.stored(Phase::kDraining, Phase::kStopping, true, kStart + 11s);
  counts.stored(Phase::kStopping, Phase::kPromoting, true, kStart + 12s);
  counts.stored(Phase::kPromoting, Phase::kSteady, true, kStart + 14s);
  CHECK(counts.switchovers() == 1);
  CHECK(counts.last_switchover() == 4s);
  CHECK(counts.failovers() == 1);
}

TEST_CASE("a switchover that became a failover is one, and one that was given up is nothing") {
  ChangeCounts counts;
  counts.stored(Phase::kSteady, Phase::kDraining, true, kStart);
  counts.stored(Phase::kDraining, Phase::kFencing, false, kStart + 1s);
  counts.stored(Phase::kFencing, Phase::kPromoting, false, kStart + 2s);
  counts.stored(Phase::kPromoting, Phase::kSteady, false, kStart + 3s);
  CHECK(counts.failovers() == 1);
  CHECK(counts.last_failover() == 2s);
  counts.stored(Phase::kSteady, Phase::kDraining, true, kStart + 10s);
  counts.stored(Phase::kDraining, Phase::kReturning, true, kStart + 11s);
  counts.stored(Phase::kReturning, Phase::kSteady, true, kStart + 12s);
  CHECK(counts.switchovers() == 0);
  CHECK(counts.failovers() == 1);
}

TEST_CASE("what an earlier process began is counted by the one that finishes it") {
  for (const bool is_switchover : {false, true}) {
    CAPTURE(is_switchover);
    ChangeCounts counts;
    counts.stored(Phase::kPromoting, Phase::kSteady, is_switchover, kStart);
    CHECK(counts.failovers() == (is_switchover ? 0 : 1));
    CHECK(counts.switchovers() == (is_switchover ? 1 : 0));
    CHECK(counts.last_failover() == 0s);  // how long it took is not known
    CHECK(counts.last_switchover() == 0s);
  }
}
