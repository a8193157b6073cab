// Physical slots. Ours, pgkeel_<node>: every node that is, or may become, the primary keeps the WAL that the others
// need to stream from it or to be rewound. Those of others (a WAL archiver, a standby that is not configured here):
// every standby has a copy, so that their readers go on from the next primary. Pure.
#pragma once

#include "replication/decide/situation.h"
#include "replication/model/decision.h"

namespace pgkeel {

// Adds at most one action for the slots on `node`, which is the primary or a standby of its history, and to the memory
// which copy is about to be made: no other slot of that name is ever moved on, made anew or dropped.
//
// On the primary a standby moves its own slot on by streaming. On a standby nobody does, so that pgkeel moves the slots
// there: to where that node's own recovery would begin, and not past what the primary still keeps for the slot's node.
// From there on the standby has the WAL anyway, and a later failover to it finds every node served: a standby goes on
// from what it has flushed, and an old primary is rewound to the last checkpoint that both have.
void keep_slots(const Situation& situation, const NodeView& primary, const NodeView& node, Decision& decision);

}  // namespace pgkeel
