// Synchronous replication under durability = strict or available: which standbys commits wait for, and what that
// promises; election.h has what follows from it. Pure. The order of the steps is replication/sync's.
#pragma once

#include <string>

#include "replication/decide/situation.h"
#include "replication/model/decision.h"

namespace pgkeel {

// pgkeel owns synchronous_standby_names, and only a safe standby is promoted.
bool commits_are_kept(const FailoverPolicy& policy);

// … unless an operator accepted a loss.
bool safety_is_demanded(const Situation& situation);

// Steady, while the primary answers: what is to be remembered of standby_names and promise before anything is changed
// for it.
void plan_durability(const Situation& situation, ClusterMemory& next);

// Sees to it that the primary's synchronous_standby_names is what memory says. True where every standby that can be
// safe is.
bool enforce_durability(const Situation& situation, Decision& decision);

// synchronous_standby_names of a candidate, set before it is promoted: nobody follows it yet.
SyncQuorum first_standby_names(const Situation& situation, const std::string& candidate);

// What kPromote shall know of it: where it has to be set anyway, and whether commits must be seen to wait before the
// route opens, as they must strictly.
void set_standby_names_of(const Situation& situation, const SyncQuorum& standby_names, Action& promotion);

// How far the promotion of the candidate has got, as the end of a sentence: what it waits for strictly, why it failed.
std::string tell_promotion(const Situation& situation, const NodeView& candidate);

// Why clients are not led to a primary that was adopted strictly (ClusterMemory::opens_when_commits_wait).
std::string tell_kept_closed(const Situation& situation, const NodeView& primary);

// ", safe", or why it is not; empty under async.
std::string safety_of(const Situation& situation, const std::string& standby);

}  // namespace pgkeel
