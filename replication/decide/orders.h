// What an operator may order now, what an order changes in the rules, and when it has ended. Pure.
#pragma once

#include "replication/decide/situation.h"
#include "replication/model/decision.h"

namespace pgkeel {

// The order of this kind that runs, and is for this node (empty: for any); nullptr: there is none.
const OperatorOrder* running_order(const ClusterMemory& memory, OrderKind kind, const std::string& node = "");

// No job in the files of any node, and no other order, would be run into.
Verdict nothing_is_under_way(const Situation& situation, const OperatorOrder& order);

// When this process saw the order first.
Instant order_since(const Situation& situation, const OperatorOrder& order);

// May it be carried out now? Where not, why, and what to do.
OrderAnswer judge_order(const Situation& situation, const OperatorOrder& order);

// The memory with the order in it, which judge_order() accepted.
ClusterMemory accept_order(const ClusterMemory& memory, OperatorOrder order);

// The running order of this kind, which has not begun, begins with the row that is taken: its first.
OperatorOrder& carry_out(ClusterMemory& next, OrderKind kind);

// An operator wants a failover, it has not begun, and nothing forbids it.
const OperatorOrder* failover_ordered(const Situation& situation);

// An operator names a history to keep, and it has not been done.
const NodeView* resolution_ordered(const Situation& situation);

// A failover by order may lose what the candidate lacks.
bool loss_is_accepted(const Situation& situation);

// Ends the running orders that have reached what they are for, or cannot any more.
void settle_orders(const Situation& situation, Decision& decision);

}  // namespace pgkeel
