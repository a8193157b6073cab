// The actions of synchronous replication: each a short conversation with a node, as in sql_actions.h. Control thread
// only.
#pragma once

#include "replication/execute/sql_conversation.h"

namespace pgkeel {

// Sets synchronous_standby_names on the primary, and returns when every walsender has taken it over and commits wait
// for it; the outcome's `waited_from` is the position past which each commit did.
void set_standby_names(const SqlConversation& conversation, const Action& action, ActionDone done);

// Ends the walreceiver of a standby for good: its primary_conninfo leads nowhere until it is told to follow somebody.
// Its other connection settings stay.
void cut_off(const SqlConversation& conversation, const Action& action, ActionDone done);

}  // namespace pgkeel
