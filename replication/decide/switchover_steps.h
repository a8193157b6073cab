// What to do, and what to say, in the steps of a switchover before its promotion. Pure; the questions are
// switchover.h's.
#pragma once

#include "replication/decide/situation.h"
#include "replication/model/decision.h"

namespace pgkeel {

// Steady: a switchover is ordered; the primary writes a checkpoint while clients still work, and both are asked anew.
void prepare_switchover(const Situation& situation, Decision& decision);

void judge_draining(const Situation& situation, Decision& decision);
void judge_stopping(const Situation& situation, Decision& decision);
void judge_returning(const Situation& situation, Decision& decision);

}  // namespace pgkeel
