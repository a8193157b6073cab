// What the operator configured for decisions. Plain data, made from ClusterConfig.
#pragma once

#include <string>

#include "config/config.h"

namespace pgkeel {

struct FailoverPolicy {
  FailoverMode mode = FailoverMode::kAutomatic;
  Durability durability = Durability::kAsync;
  bool auto_rejoin = true;
  Duration failover_pause = std::chrono::minutes(10);
  PathCutPolicy when_path_cut = PathCutPolicy::kFailoverIfSafe;
  Duration failure_timeout = std::chrono::seconds(3);
  Duration slow_standby_timeout = std::chrono::seconds(1);
  Duration drain_timeout = std::chrono::seconds(5);
  std::string preferred;  // node to switch back to; empty: none
  std::string
      adopt;  // `serve --adopt NODE`: take this node as the primary where there is no state, or the state is stale
};

}  // namespace pgkeel
