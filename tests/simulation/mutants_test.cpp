#include <doctest/doctest.h>

#include "tests/simulation/schedule.h"

using namespace pgkeel;
using namespace pgkeel::simulation;

namespace {

// The first seed whose schedule finds the mutant; 0: none.
std::uint64_t found_by(Mutant mutant, std::uint64_t most_schedules) {
  for (std::uint64_t seed = 1; seed <= most_schedules; ++seed) {
    if (!play(seed, mutant).violation.empty()) return seed;
  }
  return 0;
}

}  // namespace

TEST_CASE("the checkers find every deliberate fault, so that their silence means something") {
  for (const Mutant mutant : kAllMutants) {
    const std::string name = mutant_name(mutant);
    INFO(name);
    CHECK(found_by(mutant, 1000) != 0);
  }
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
