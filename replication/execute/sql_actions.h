// The actions that are SQL: each a short conversation with a node, step by step on the control loop. Control thread
// only.
#pragma once

#include <functional>

#include "proxy/base/result.h"
#include "replication/execute/sql_conversation.h"

namespace pgkeel {

// Promotes the standby and returns when it takes writes: sets synchronous_standby_names first (a copied one would
// make the new primary wait for the dead one), then pg_promote(false) and a close watch, then a write of its own. On a
// node that is already a primary a fence by SQL is lifted, and the write is done. Where commits must wait, it is done
// when they are seen to, by that setting and no other.
void promote(const SqlConversation& conversation, const Action& action, ActionDone done);

// Slot on the upstream, then primary_conninfo and primary_slot_name on the standby, which keeps its other connection
// settings.
void follow(const SqlConversation& conversation, const Action& action, ActionDone done);

// Writes a checkpoint, at once, and returns when it is written.
void checkpoint(const SqlConversation& conversation, const Action& action, ActionDone done);

// Weak: from now on its commits wait for a standby that nobody is, and its client sessions are ended.
void fence_by_sql(const SqlConversation& conversation, const Action& action, ActionDone done);

// Makes the upstream ready to be a source for rejoin: the slot, and a checkpoint on its timeline (pg_rewind before
// PostgreSQL 16 reads the timeline from pg_control). Tells the oldest WAL file there, by its name without the timeline;
// empty: we may not look.
void prepare_upstream(const SqlConversation& conversation, const Action& action,
                      std::function<void(Result<std::string>)> done);

}  // namespace pgkeel
