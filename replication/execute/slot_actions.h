// The actions on physical slots: one short SQL text each. Control thread only.
#pragma once

#include "replication/execute/sql_actions.h"

namespace pgkeel {

// Drops the slot, unless somebody reads from it.
void drop_slot(OrderLine& line, const Action& action, ActionDone done);

// Creates the slot where it is missing or lost, else moves it on to the position. The outcome has a message only where
// something else than moving it on was done.
void keep_slot(OrderLine& line, const Action& action, ActionDone done);

}  // namespace pgkeel
