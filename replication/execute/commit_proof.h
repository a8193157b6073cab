// The proof that commits on a primary wait for standbys by a setting: synchronous_standby_names is in force only when
// the checkpointer has read it too, whatever a session shows. Control thread only.
#pragma once

#include <functional>
#include <string>

#include "proxy/base/result.h"
#include "replication/execute/sql_conversation.h"

namespace pgkeel {

// Writes again and again, and looks whether a session shows `standby_names` while such a commit waits; it is cancelled
// then. On a primary that nobody streams from yet this takes as long as its checkpointer takes to read the setting.
// Where none was seen for a second, because a standby acknowledges at once or the checkpointer is busy, a CHECKPOINT is
// ordered, which makes it read the setting, and looked for on: whichever comes first. A checkpoint counts only where
// there is a standby to acknowledge; else a commit must be seen to wait after it.
// It needs no new connection before that. An error: the node does not answer, does not write, does not take the setting
// over, or lets commits return in spite of it.
void see_commits_wait(const SqlConversation& conversation, const std::string& node, const std::string& standby_names,
                      std::function<void(const Result<void>& seen)> done);

// A server goes on with the setting that it had: why that may be.
std::string tell_not_taken_over(const std::string& shown, const std::string& wanted);

}  // namespace pgkeel
