// coordination_simulation FIRST LAST: plays several pgkeels by these seeds, with two and three members. Tests only.
#include <cstdlib>
#include <iostream>

#include "tests/simulation/coordination/party.h"

int main(int count, char** arguments) {
  using namespace pgkeel::simulation;
  if (count != 3) {
    std::cerr << "coordination_simulation FIRST LAST: the seeds to play\n";
    return 2;
  }
  const std::uint64_t first = std::strtoull(arguments[1], nullptr, 10);
  const std::uint64_t last = std::strtoull(arguments[2], nullptr, 10);
  std::uint64_t broken = 0;
  std::uint64_t route_changes = 0;
  for (std::uint64_t seed = first; seed <= last; ++seed) {
    for (const std::size_t members : {2U, 3U}) {
      const auto outcome = play_party(seed, members, CoordinationMutant::kNone);
      route_changes += outcome.route_changes;
      if (outcome.violation.empty()) continue;
      ++broken;
      std::cout << "seed " << seed << ", " << members << " members: " << outcome.violation << "\n";
    }
  }
  std::cout << "seeds " << first << " to " << last << ": " << route_changes << " routes written, " << broken
            << " broke a rule\n";
  return broken == 0 ? 0 : 1;
}
