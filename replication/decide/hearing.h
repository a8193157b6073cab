// What pgkeel has not heard yet, just after its start. Pure.
#pragma once

#include "replication/decide/situation.h"

namespace pgkeel {

// After a start of pgkeel: a node that may, for all that is known, be a primary that somebody promoted.
const NodeView* not_heard_from_yet(const Situation& situation);

// The same of any node, the primary too, or of what handles its processes: that something is not known yet is no reason
// to give up an order that was accepted. It ends: `again_at` is lowered to when.
bool too_early_to_judge(const Situation& situation, Instant& again_at);

}  // namespace pgkeel
