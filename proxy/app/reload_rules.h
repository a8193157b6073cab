// Whether a cluster can be reconfigured as it is now, and what an operator should know of it. Pure.
#pragma once

#include <string>
#include <vector>

#include "config/config.h"
#include "replication/model/action.h"
#include "replication/model/cluster_memory.h"

namespace pgkeel {

// Why not, one line each; empty: it can. `wanted` is null where the cluster shall be no more.
std::vector<std::string> reload_refusals(const ClusterConfig& running, const ClusterConfig* wanted,
                                         const ClusterMemory& memory, const std::vector<ActionStatus>& actions);

// What stays as it is although the configuration says otherwise now, or comes about only later.
std::vector<std::string> reload_notes(const ClusterConfig& running, const ClusterConfig* wanted);

}  // namespace pgkeel
