// What clients know of a run, and what follows from it. Pure.
#pragma once

#include <cstddef>
#include <cstdint>
#include <map>
#include <string>
#include <unordered_map>
#include <unordered_set>
#include <vector>

#include "proxy/base/time.h"

namespace pgkeel::chaos {

// One row that was acknowledged to a writer.
struct Acknowledgement {
  std::uint64_t id = 0;
  std::uint32_t round = 0;
  std::uint32_t client = 0;
  std::string taken_by;  // the server and its timeline, as the server told them
  Instant began{};       // before the statement was sent
  Instant acknowledged{};
};
using History = std::vector<Acknowledgement>;

// A statement that was sent, whatever became of it.
struct Attempt {
  std::uint64_t id = 0;  // of its row
  std::string through;   // the address of the pgkeel that it was sent to
  Instant began{};       // before it was sent
};

// A pgkeel that stood still.
struct Freeze {
  std::string address;
  Instant from{};
  Instant until{};
};

// Acknowledged, but absent.
std::size_t count_lost(const History& history, const std::unordered_set<std::uint64_t>& present);

// Present, but not acknowledged: allowed, as an error says that the outcome is unknown.
std::size_t count_ghosts(const History& history, const std::unordered_set<std::uint64_t>& present);

// Rows that a primary took although the statement was sent only after a later primary had acknowledged one. (Rows whose
// times overlap say nothing: a client may be slow to read its acknowledgement.)
std::size_t count_two_primary_moments(const History& history);

// Rows that a pgkeel let through after it had stood still for longer than this lease: their statements were sent to it
// before it went on, and were executed after that. `executed_at`: of rows that are present.
std::size_t count_late_writes(const std::vector<Attempt>& attempts,
                              const std::unordered_map<std::uint64_t, Instant>& executed_at,
                              const std::vector<Freeze>& freezes, Duration lease);

// The longest time between two acknowledgements, or between one and an end of [from, to].
Duration longest_gap(const History& history, Instant from, Instant to);
// The same of the client for whom it was the longest.
Duration longest_gap_of_one(const History& history, Instant from, Instant to);

}  // namespace pgkeel::chaos
