// Two primaries with histories that diverge: who they are, and where they went apart. Pure.
#pragma once

#include "replication/decide/situation.h"
#include "replication/model/collision.h"

namespace pgkeel {

// It answers as a primary, and pgkeel knows it for an old one: it is fenced again, and does not collide.
bool is_known_old_primary(const Situation& situation, const NodeView& node);

// Beside the primary of the memory: those of this cluster that answer as primaries, and are no known old ones.
std::vector<const NodeView*> rival_primaries(const Situation& situation);

// Nobody wrote beside the primary; else what to do before anything is planned.
Verdict no_rival_primary(const Situation& situation);

// The last position that both histories share; nothing where they are not known, or one is a part of the other.
std::optional<TimelineFork> fork_between(const NodeFacts& left, const NodeFacts& right);

Collision describe_collision(const Situation& situation);

// "a on timeline 1 and b on timeline 2 went apart at 0/2000 of timeline 1". It does not change with time alone.
std::string tell_collision(const Collision& collision);

// The same, where the route is meanwhile (empty: nowhere), and how it ends.
std::string tell_way_out(const Collision& collision, const std::string& route_node);

}  // namespace pgkeel
