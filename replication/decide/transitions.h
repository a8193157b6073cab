// The life of a route as a table: each row is one allowed change of phase, with the question that allows it. Pure.
// README.md's diagram is drawn from it.
#pragma once

#include <optional>
#include <span>
#include <string>

#include "replication/decide/situation.h"

namespace pgkeel {

struct Transition {
  Phase from;
  Phase to;
  const char* why;
  // The memory after the change, or nothing where the row does not apply. `again_at` is lowered to the moment when the
  // answer may change by time alone.
  std::optional<ClusterMemory> (*take)(const Situation&, Instant& again_at);
};

// In order: the first row that applies is taken.
std::span<const Transition> transitions();

// The table as a Mermaid state diagram.
std::string draw_transitions();

}  // namespace pgkeel
