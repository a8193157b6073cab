// Parts of records and of the status, put together from what several parts of pgkeel know. Pure.
#pragma once

#include <vector>

#include "proxy/admin/cluster_status.h"
#include "proxy/session/session_stats.h"
#include "replication/decide/slots_of_others.h"
#include "replication/model/cluster_memory.h"
#include "replication/model/decision_record.h"

namespace pgkeel {

inline DecisionRecord::Clients clients_of(const ClusterSessionStats& stats) {
  return {.ended_idle = stats.ended_idle,
          .ended_in_transaction = stats.ended_in_transaction,
          .ended_busy = stats.ended_busy,
          .ended_in_commit = stats.ended_in_commit,
          .held = stats.held,
          .released = stats.released};
}

inline std::vector<LeftSlotStatus> left_slots_of(const ClusterMemory& memory) {
  std::vector<LeftSlotStatus> left_slots;
  for (const auto& left : memory.left_slots) {
    left_slots.push_back(
        {left.slot.name, left.slot.database, left.old_primary, describe(left, memory.logical_slots.primary)});
  }
  return left_slots;
}

inline std::vector<MaintenanceStatus> maintenance_of(const ClusterMemory& memory) {
  std::vector<MaintenanceStatus> found;
  if (const auto& all = memory.maintenance) found.push_back({"", all->since, all->given_by});
  for (const auto& [node, each] : memory.nodes_maintained) found.push_back({node, each.since, each.given_by});
  return found;
}

}  // namespace pgkeel
