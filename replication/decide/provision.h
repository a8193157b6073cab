// An empty host becomes a standby (`pgkeel provision`). Pure. The copy itself is a rejoin that fills an empty data
// directory and leaves any other as it is; the repair of the node starts it.
#pragma once

#include "replication/decide/situation.h"
#include "replication/model/decision.h"

namespace pgkeel {

OrderAnswer judge_provision(const Situation& situation, const OperatorOrder& order);

// Done where the node streams, and is safe where it can be.
void settle_provision(const Situation& situation, OperatorOrder& order, Decision& decision);

}  // namespace pgkeel
