// The readiness rules: from what one look at the nodes of a cluster brought, and its configuration, to what would go
// wrong in the next failover or rejoin, and what mends it. Pure.
#pragma once

#include <vector>

#include "config/config.h"
#include "replication/readiness/facts.h"
#include "replication/readiness/finding.h"

namespace pgkeel {

// `nodes` in the order of the configuration.
Readiness judge_readiness(const ClusterConfig& cluster, const std::vector<NodeReadinessFacts>& nodes);

}  // namespace pgkeel
