// Which standby holds every acknowledged commit, by the positions that the members of the promise have told. Pure.
#pragma once

#include "replication/decide/situation.h"

namespace pgkeel {

// Where the choice depends on positions, one that still replays the WAL that it had when it started has not told its
// own: it may have more than it says. Else it does not matter: a promotion replays all of it first.
bool position_is_told(const Situation& situation, const NodeView& standby);

// A member of the promise that holds more than the candidate, and may not be promoted itself; nullptr: there is none.
const NodeView* member_with_more(const Situation& situation, const NodeView& candidate);

// Enough of the promise's members answer to elect the one that holds every acknowledged commit.
Verdict election_is_possible(const Situation& situation);

// … and one of them may be promoted.
bool somebody_can_be_elected(const Situation& situation);

}  // namespace pgkeel
