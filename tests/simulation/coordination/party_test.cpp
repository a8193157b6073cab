#include "tests/simulation/coordination/party.h"

#include <doctest/doctest.h>

using namespace pgkeel;
using namespace pgkeel::simulation;

namespace {

// The first seed that finds the mutant; 0: none does.
std::uint64_t found_by(CoordinationMutant mutant) {
  constexpr std::uint64_t kMostSeeds = 400;
  for (std::uint64_t seed = 1; seed <= kMostSeeds; ++seed) {
    for (const std::size_t members : {2U, 3U}) {
      if (!play_party(seed, members, mutant).violation.empty()) return seed;
    }
  }
  return 0;
}

}  // namespace

TEST_CASE(
    "never do two pgkeels route in different epochs, nobody orders after a newer leader has, none that is being ended "
    "comes to lead before the others, and all route again when all is healed") {
  constexpr std::uint64_t kSeeds = 60;
  for (std::uint64_t seed = 1; seed <= kSeeds; ++seed) {
    for (const std::size_t members : {2U, 3U}) {
      INFO("seed ", seed, ", members ", members);
      const auto outcome = play_party(seed, members, CoordinationMutant::kNone);
      CHECK(outcome.violation == "");
      CHECK(outcome.route_changes > 0);
      CHECK(outcome.orders > 0);
    }
  }
}

TEST_CASE("every deliberate fault is found, so that silence means something") {
  for (const auto mutant : {CoordinationMutant::kOpensWithoutWaiting, CoordinationMutant::kIgnoresDeadline,
                            CoordinationMutant::kCountsFromTheAnswer, CoordinationMutant::kForgetsPromises,
                            CoordinationMutant::kKnowsNothingOfEarlierLife, CoordinationMutant::kPromisesAreEternal,
                            CoordinationMutant::kRoutesBeforeApplying, CoordinationMutant::kOlderSessionsStay,
                            CoordinationMutant::kOrdersWithoutLooking, CoordinationMutant::kLeadsAfterHandOver,
                            CoordinationMutant::kLeadsWhileItEnds}) {
    INFO("mutant ", static_cast<int>(mutant));
    const std::uint64_t seed = found_by(mutant);
    CHECK(seed != 0);
    MESSAGE("mutant ", static_cast<int>(mutant), " is found by seed ", seed);
  }
}
