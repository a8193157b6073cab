// The proof that commits on a new primary wait for standbys: synchronous_standby_names is in force only when the
// checkpointer has read it too, whatever a session shows. Control thread only.
#pragma once

#include <functional>
#include <string>

#include "proxy/base/result.h"
#include "replication/execute/sql_conversation.h"

namespace pgkeel {

// Writes, and looks whether the commit waits; it is cancelled then. On a primary that nobody streams from yet this
// takes as long as its checkpointer takes to read the setting. Where no commit is seen to wait, because a standby
// acknowledges at once or the checkpointer is busy, a CHECKPOINT makes it read the setting: that may take long, and it
// is better to take long than to acknowledge what is on one server alone. An error: the node does not answer.
void see_commits_wait(const SqlConversation& conversation, const std::string& node,
                      std::function<void(const Result<void>& seen)> done);

}  // namespace pgkeel
