// What operators ordered, and what it means for a failover: nobody would be promoted by itself while they work on it,
// whatever the servers say. Pure.
#pragma once

#include <vector>

#include "config/config.h"
#include "replication/model/cluster_memory.h"
#include "replication/readiness/finding.h"

namespace pgkeel {

// Adds to what the newest look found, that a cluster or node is under maintenance, or stopped, or torn down.
void add_ordered_rest(const ClusterMemory& memory, const std::vector<NodeConfig>& nodes, Readiness& readiness);

}  // namespace pgkeel
