// What the decision core answers. Plain data.
//
// The contract with the driver: `next` is durable before the route is published and before any action is started; the
// actions are those to start now, in this order, and none of them is running.
#pragma once

#include <map>
#include <optional>
#include <string>
#include <vector>

#include "proxy/base/route_mode.h"
#include "proxy/base/time.h"
#include "replication/model/action.h"
#include "replication/model/cluster_memory.h"
#include "replication/model/collision.h"

namespace pgkeel {

enum class Condition {
  kNormal,
  kDegraded,
  kMaintenance,
  kSwitchingOver,
  kFailingOver,
  kStopped,
  kTornDown,
  kNoRoute,
  kCollision
};

constexpr Condition kAllConditions[] = {Condition::kNormal,        Condition::kDegraded,    Condition::kMaintenance,
                                        Condition::kSwitchingOver, Condition::kFailingOver, Condition::kStopped,
                                        Condition::kTornDown,      Condition::kNoRoute,     Condition::kCollision};

constexpr const char* condition_name(Condition condition) {
  switch (condition) {
    case Condition::kNormal:
      return "normal";
    case Condition::kDegraded:
      return "degraded";
    case Condition::kSwitchingOver:
      return "switching over";
    case Condition::kMaintenance:
      return "maintenance";
    case Condition::kStopped:
      return "stopped";
    case Condition::kTornDown:
      return "torn down";
    case Condition::kFailingOver:
      return "failing over";
    case Condition::kNoRoute:
      return "no route";
    case Condition::kCollision:
      return "collision";
  }
  return "unknown";
}

struct Decision {
  ClusterMemory next;
  std::string route_node;  // where the access point shall lead in epoch next.epoch; empty: nowhere
  RouteMode route_mode = RouteMode::kNormal;
  std::string route_reason;  // why nowhere, or why nobody new is let through: for the client's error
  std::vector<Action> actions;
  std::vector<std::string> break_off;  // nodes whose start or rejoin, which runs, stands in the way of a fence
  std::string transition;              // why the phase changed, or a new primary was accepted; empty: nothing changed
  Condition condition = Condition::kNoRoute;
  // One line: what the condition means here. It is recorded as an event whenever it changes, so nothing in it may
  // change with time alone, or with each attempt of an action.
  std::string summary;
  std::string failover_refused;  // why there is none although the primary failed; empty: it did not, or there is one
  std::optional<Collision> collision;        // where the condition is one
  std::map<std::string, std::string> notes;  // per node: what it is, or what is wrong with it and what mends it
  Instant decide_again_at = Instant::max();  // although nothing new is observed
};

}  // namespace pgkeel
