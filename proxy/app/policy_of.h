// What a cluster's configuration, and the command line, say of decisions. Pure.
#pragma once

#include <string>
#include <utility>

#include "replication/model/failover_policy.h"

namespace pgkeel {

inline FailoverPolicy policy_of(const ClusterConfig& config, std::string adopt) {
  FailoverPolicy policy;
  policy.mode = config.failover;
  policy.durability = config.durability;
  policy.auto_rejoin = config.auto_rejoin;
  policy.failover_pause = config.failover_pause;
  policy.when_path_cut = config.detection.when_path_cut;
  policy.failure_timeout = config.detection.failure_timeout;
  policy.slow_standby_timeout = config.detection.slow_standby_timeout;
  policy.drain_timeout = config.drain_timeout;
  policy.preferred = config.preferred;
  policy.adopt = std::move(adopt);
  return policy;
}

}  // namespace pgkeel
