// pgkeel leaves a cluster (`pgkeel teardown`). Pure.
//
//   steady -> torn_down
//
// Torn down is an end: the state file keeps that it was ordered, and nothing else, so that a pgkeel that is started
// again with this cluster still configured does not take it up again by itself.
#pragma once

#include "replication/decide/situation.h"
#include "replication/model/decision.h"

namespace pgkeel {

OrderAnswer judge_teardown(const Situation& situation, const OperatorOrder& order);

// Steady: a teardown is ordered, has not begun, and nothing forbids it.
bool teardown_may_begin(const Situation& situation);

void judge_torn_down(const Situation& situation, Decision& decision);

void settle_teardown(const Situation& situation, OperatorOrder& order, Decision& decision);

// Where it is done, nothing stays but that it was ordered, and the epoch, which never goes back.
void put_state_away(ClusterMemory& memory);

}  // namespace pgkeel
