// What to do for the nodes beside the primary while the route is steady: make the old primary a standby again, point
// the others at the new primary, keep slots in order; and what to say of each node. Pure.
#pragma once

#include "replication/decide/situation.h"
#include "replication/model/decision.h"

namespace pgkeel {

// Adds actions and notes to the decision; true where every node is as it should be.
bool repair_standbys(const Situation& situation, Decision& decision);

// Which nodes an operator has to help, for the summary: empty, or clauses that begin with "; ".
std::string help_wanted(const Situation& situation);

// The primary failed and nobody can replace it, or not before failover_pause is over, or not before more safe standbys
// answer: start it, or a crashed standby where it cannot be started.
void start_what_crashed(const Situation& situation, Decision& decision);

}  // namespace pgkeel
