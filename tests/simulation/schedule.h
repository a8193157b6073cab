// One schedule: a world made from a seed, faults for a while, then healing until all is well again. Tests only.
#pragma once

#include <cstdint>
#include <optional>
#include <string>

#include "tests/simulation/checkers.h"
#include "tests/simulation/world.h"

namespace pgkeel::simulation {

struct ScheduleResult {
  std::string violation;  // empty: every rule held
  std::string given_up;   // why there is no verdict, see GivenUp; empty: there is one
  Reached reached;
  std::uint64_t decisions = 0;
  std::size_t failovers = 0;
  std::size_t promised_writes = 0;
  std::optional<Duration> longest_hang;  // of commits, where one thing fails at a time and the standbys are released
  Duration healed_after{};               // from the last fault until the cluster was normal
};

// The same seed plays the same schedule, event by event; `traced` prints them.
ScheduleResult play(std::uint64_t seed, Mutant mutant = Mutant::kNone, bool traced = false);

}  // namespace pgkeel::simulation
