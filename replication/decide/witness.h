// Standbys that say something of a primary which is silent to us. Pure.
#pragma once

#include "replication/decide/situation.h"

namespace pgkeel {

// A standby hears from the primary right now, although we do not: only the path from here is cut.
const NodeView* witness_of_life(const Situation& situation);

// … and a failover would not keep it from hearing: the primary cannot be proven stopped from here, and this standby is
// none that is cut off first, or cannot be while its replay is paused.
const NodeView* witness_that_stays(const Situation& situation);

}  // namespace pgkeel
