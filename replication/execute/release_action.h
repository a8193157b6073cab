// What pgkeel set up in a server, taken back by SQL (`pgkeel teardown`). Control thread only.
#pragma once

#include "replication/execute/sql_conversation.h"

namespace pgkeel {

// Resets what was set by ALTER SYSTEM, and drops the slots that are called pgkeel_…; a walsender that still uses one is
// ended first. A standby keeps its primary_conninfo: it streams on, without a slot.
void release(const SqlConversation& conversation, const Action& action, ActionDone done);

}  // namespace pgkeel
