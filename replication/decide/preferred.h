// Switching back to the node that the operator prefers. Pure.
#pragma once

#include "replication/decide/situation.h"
#include "replication/model/decision.h"

namespace pgkeel {

// Orders a switchover to it where all has been well for failover_pause (a minute at least), and none was begun for six
// times as long. `situation`: with the memory that is decision.next.
void order_switch_back(const Situation& situation, Decision& decision);

}  // namespace pgkeel
