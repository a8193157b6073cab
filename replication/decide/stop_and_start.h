// The whole cluster shut down, and started again (`pgkeel stop`, `pgkeel start`). Pure.
//
//   steady -> draining -> stopped -> returning -> steady
//
// The primary is shut down first: its walsenders end only when the standbys have all of its WAL, the shutdown
// checkpoint included. A standby that was stopped before would lack it, and after a start somebody else's promotion
// could lose it.
#pragma once

#include "replication/decide/situation.h"
#include "replication/model/decision.h"

namespace pgkeel {

OrderAnswer judge_stop(const Situation& situation, const OperatorOrder& order);
OrderAnswer judge_start(const Situation& situation);

// Steady: a stop is ordered, has not begun, and nothing forbids it.
bool stop_may_begin(const Situation& situation);

// Draining for a stop: why it must be given up; empty: nothing speaks against it.
std::string why_stop_is_given_up(const Situation& situation);

void judge_stopped(const Situation& situation, Decision& decision);

void settle_stop(const Situation& situation, OperatorOrder& order, Decision& decision);
void settle_start(const Situation& situation, OperatorOrder& order, Decision& decision);

}  // namespace pgkeel
