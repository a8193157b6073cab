#include "health/shared_sight.h"

#include <doctest/doctest.h>

using namespace pgkeel;
using namespace std::chrono_literals;

namespace {

constexpr Duration kFailureTimeout = 3s;
const Instant kNow{1h};

Suspicion silent() {
  Suspicion suspicion;
  suspicion.liveness = Liveness::kSilent;
  suspicion.last_heard = kNow - 3s;
  suspicion.since = kNow;
  suspicion.evidence = "no answer for 3s";
  return suspicion;
}

Suspicion dead(Duration ago) {
  Suspicion suspicion;
  suspicion.liveness = Liveness::kDead;
  suspicion.last_heard = kNow - ago - 100ms;
  suspicion.since = kNow - ago;
  suspicion.evidence = "postmaster 17 has ended";
  return suspicion;
}

std::string heard_by(const Suspicion& own, const std::vector<OtherSight>& others) {
  const SharedSight shared = shared_sight(own, others, kFailureTimeout, kNow);
  CHECK(shared.suspicion.failed() == shared.heard_by.empty());
  return shared.heard_by;
}

}  // namespace

TEST_CASE("a node that is silent here, and answers another pgkeel now, has not failed: it is only not known") {
  const SharedSight shared = shared_sight(silent(), {{"two", kNow - 600ms}}, kFailureTimeout, kNow);
  CHECK(shared.heard_by == "two");
  CHECK(shared.suspicion.liveness == Liveness::kUnknown);
  CHECK(shared.suspicion.evidence == "no answer for 3s here, but pgkeel two hears from it");
}

TEST_CASE("where nobody else hears from it, or nobody else answers, it is as if this pgkeel were alone") {
  CHECK(heard_by(silent(), {}).empty());
  CHECK(heard_by(silent(), {{"two", kNow - 2s}}).empty());      // silent there too
  CHECK(heard_by(silent(), {{"two", kNow - 3500ms}}).empty());  // since longer than here
  CHECK(shared_sight(silent(), {}, kFailureTimeout, kNow).suspicion.evidence == "no answer for 3s");
}

TEST_CASE("one that hears is enough, whoever else does not") {
  CHECK(heard_by(silent(), {{"two", kNow - 4s}, {"three", kNow - 100ms}}) == "three");
}

TEST_CASE("what others heard before a death that was seen, or a refusal, delays nothing") {
  CHECK(heard_by(dead(0ms), {{"two", kNow - 1ms}}).empty());
  CHECK(heard_by(dead(200ms), {{"two", kNow - 300ms}}).empty());
  CHECK(heard_by(dead(200ms), {{"two", kNow - 100ms}}) == "two");  // it refuses this one alone
}

TEST_CASE("a node that says itself that it does not come up is believed") {
  Suspicion stuck = silent();
  stuck.liveness = Liveness::kStuck;
  CHECK(heard_by(stuck, {{"two", kNow}}).empty());
}

TEST_CASE("a node that has not failed here stays as it is seen") {
  Suspicion late = silent();
  late.liveness = Liveness::kLate;
  CHECK(shared_sight(late, {{"two", kNow}}, kFailureTimeout, kNow).suspicion.liveness == Liveness::kLate);
}
