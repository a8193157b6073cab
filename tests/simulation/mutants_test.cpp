#include <doctest/doctest.h>

#include "tests/simulation/schedule.h"

using namespace pgkeel;
using namespace pgkeel::simulation;

namespace {

constexpr std::uint64_t kMostSchedules = 1000;

// The first seed whose schedule finds the mutant, with these words; 0: none.
std::uint64_t found_by(Mutant mutant, const std::string& words = {}) {
  for (std::uint64_t seed = 1; seed <= kMostSchedules; ++seed) {
    const std::string violation = play(seed, mutant).violation;
    if (!violation.empty() && violation.find(words) != std::string::npos) return seed;
  }
  return 0;
}

}  // namespace

TEST_CASE("the checkers find every deliberate fault, so that their silence means something") {
  for (const Mutant mutant : kAllMutants) {
    const std::string name = mutant_name(mutant);
    INFO(name);
    CHECK(found_by(mutant) != 0);
  }
}

TEST_CASE("a standby that is not kept off the old primary loses commits, beside holding up the failover") {
  CHECK(found_by(Mutant::kNotCutOff, "acknowledged the write") != 0);
}

TEST_CASE("a seed plays the same schedule again") {
  for (std::uint64_t seed = 1; seed <= 5; ++seed) {
    const ScheduleResult once = play(seed);
    const ScheduleResult again = play(seed);
    CHECK(once.decisions == again.decisions);
    CHECK(once.promised_writes == again.promised_writes);
    CHECK(once.healed_after == again.healed_after);
  }
}
