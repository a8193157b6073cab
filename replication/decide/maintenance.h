// What an operator works on, and what pgkeel leaves alone meanwhile (`pgkeel maintenance`). Pure.
#pragma once

#include "replication/decide/situation.h"
#include "replication/model/decision.h"

namespace pgkeel {

// The node is out: it is never chosen, commits do not wait for it, and it is neither repaired nor complained of.
bool is_out(const ClusterMemory& memory, const std::string& node);

// "under maintenance since 2026-01-31T12:00:00Z (127.0.0.1:4242)"
std::string tell_maintenance(const Maintenance& maintenance);

// While the cluster is under maintenance, and steady: the condition, and why nothing is done.
void tell_of_maintenance(const ClusterMemory& memory, Decision& decision);

OrderAnswer judge_maintenance(const Situation& situation, const OperatorOrder& order);

// The memory with what the order says.
void apply_maintenance(const OperatorOrder& order, ClusterMemory& next);

void settle_maintenance(const Situation& situation, OperatorOrder& order);

}  // namespace pgkeel
