// Asks every node of a cluster for what the readiness rules need: one new login of the monitoring role and a few light
// queries, two logins of the replication role, a look at the disks of local nodes, and one call of each agent; all
// nodes at once. Blocks for up to a minute, however the servers and agents behave: job threads and commands, never a
// loop.
#pragma once

#include <vector>

#include "config/config.h"
#include "replication/readiness/facts.h"

namespace pgkeel {

enum class CollectScope {
  kRoutine,   // what costs next to nothing
  kComplete,  // also the size of the databases, for which a server looks at every file
};

// In the order of the configuration.
std::vector<NodeReadinessFacts> collect_readiness_facts(const ClusterConfig& cluster, CollectScope scope);

}  // namespace pgkeel
