// What clients know of a run, and what follows from it. Pure.
#pragma once

#include <cstddef>
#include <cstdint>
#include <string>
#include <unordered_set>
#include <vector>

#include "proxy/base/time.h"

namespace pgkeel::chaos {

// One row that was acknowledged to a writer.
struct Acknowledgement {
  std::uint64_t id = 0;
  std::uint32_t round = 0;
  std::string taken_by;  // the server and its timeline, as the server told them
  Instant began{};       // before the statement was sent
  Instant acknowledged{};
};
using History = std::vector<Acknowledgement>;

// Acknowledged, but absent.
std::size_t count_lost(const History& history, const std::unordered_set<std::uint64_t>& present);

// Present, but not acknowledged: allowed, as an error says that the outcome is unknown.
std::size_t count_ghosts(const History& history, const std::unordered_set<std::uint64_t>& present);

// Rows that a primary took although the statement was sent only after a later primary had acknowledged one. (Rows whose
// times overlap say nothing: a client may be slow to read its acknowledgement.)
std::size_t count_two_primary_moments(const History& history);

// The longest time between two acknowledgements, or between one and an end of [from, to].
Duration longest_gap(const History& history, Instant from, Instant to);

}  // namespace pgkeel::chaos
