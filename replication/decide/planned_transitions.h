// The rows of the transition table that operators plan: switchover, stop and start, teardown. Each gives the memory
// with which the row is taken; nothing where it does not apply. Pure.
#pragma once

#include <optional>

#include "replication/decide/situation.h"

namespace pgkeel {

std::optional<ClusterMemory> begin_switchover(const Situation& situation, Instant& again_at);
std::optional<ClusterMemory> give_up_drain(const Situation& situation, Instant& again_at);
std::optional<ClusterMemory> end_drain(const Situation& situation, Instant& again_at);
std::optional<ClusterMemory> begin_stop(const Situation& situation, Instant& again_at);
std::optional<ClusterMemory> end_drain_for_stop(const Situation& situation, Instant& again_at);
std::optional<ClusterMemory> begin_start(const Situation& situation, Instant& again_at);
std::optional<ClusterMemory> promote_after_shutdown(const Situation& situation, Instant& again_at);
std::optional<ClusterMemory> fail_over_from_stop(const Situation& situation, Instant& again_at);
std::optional<ClusterMemory> give_up_stop(const Situation& situation, Instant& again_at);
std::optional<ClusterMemory> end_return(const Situation& situation, Instant& again_at);
std::optional<ClusterMemory> fail_over_from_return(const Situation& situation, Instant& again_at);
std::optional<ClusterMemory> begin_teardown(const Situation& situation, Instant& again_at);

}  // namespace pgkeel
