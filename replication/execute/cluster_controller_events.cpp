// What ClusterController tells of slots, nodes and a maintenance that goes on.
#include <algorithm>
#include <optional>
#include <utility>

#include "replication/decide/slots_of_others.h"
#include "replication/execute/cluster_controller.h"

namespace pgkeel {

using namespace std::chrono_literals;

namespace {

constexpr Duration kMaintenanceReminder = 1h;

}  // namespace

// What came along to a new primary beside rows, and what did not.
void ClusterController::tell_of_slots(const ClusterMemory& before, const std::vector<NodeView>& nodes, Now now) {
  const std::string& primary = memory_.logical_slots.primary;
  const bool moved = !before.logical_slots.primary.empty() && before.logical_slots.primary != primary;
  const auto facts = std::ranges::find(nodes, primary, &NodeView::name);
  const auto prepared = facts != nodes.end() && facts->facts ? facts->facts->prepared_transactions : 0;
  if (moved && prepared > 0) {
    tell(now, LogLevel::kWarning, "prepared", primary,
         "prepared transactions came along to " + primary + ": " + std::to_string(prepared) +
             "; each holds its locks until COMMIT PREPARED or ROLLBACK PREPARED (pg_prepared_xacts lists them)");
  }
  for (const auto& left : memory_.left_slots) {
    const bool was_told = std::ranges::find(before.left_slots, left.slot, &LeftSlot::slot) != before.left_slots.end();
    if (moved || !was_told) tell(now, LogLevel::kWarning, "slot", primary, describe(left, primary));
  }
  for (const auto& left : before.left_slots) {
    if (std::ranges::find(memory_.left_slots, left.slot, &LeftSlot::slot) != memory_.left_slots.end()) continue;
    if (std::ranges::find(memory_.logical_slots.slots, left.slot) != memory_.logical_slots.slots.end())
      tell(now, LogLevel::kInfo, "slot", primary, "logical slot " + left.slot.name + " is on " + primary + " again");
  }
}

// Whoever forgets it has no failover.
void ClusterController::remind_of_maintenance(Now now) {
  std::optional<WallTime> since;
  std::string what;
  const auto add = [&](const std::string& name, const Maintenance& maintenance) {
    what += (what.empty() ? "" : ", ") + name;
    since = since ? std::min(*since, maintenance.since) : maintenance.since;
  };
  if (memory_.maintenance) add("the cluster", *memory_.maintenance);
  for (const auto& [node, maintenance] : memory_.nodes_maintained) add(node, maintenance);
  const std::optional<WallTime> since_before = std::exchange(maintenance_since_, since);
  if (!since) {
    maintenance_told_ = 0;
    return;
  }
  const Duration lasts = now.wall - *since;
  const std::int64_t reminders = lasts / kMaintenanceReminder;
  // The oldest has ended, and this one goes on: it has its own hours.
  if (since_before && since_before != since) maintenance_told_ = reminders;
  if (reminders > maintenance_told_) {
    tell(now, LogLevel::kWarning, "maintenance", "",
         "still under maintenance, since " + format_wall_time(*since) + ": " + what +
             "; `pgkeel maintenance off` ends it");
  }
  maintenance_told_ = std::max(maintenance_told_, reminders);
  const Instant next = now.instant + ((maintenance_told_ + 1) * kMaintenanceReminder - lasts);
  decision_.decide_again_at = std::min(decision_.decide_again_at, std::max(next, now.instant + 1s));
}

void ClusterController::tell_of_nodes(const std::vector<NodeView>& nodes, Now now) {
  for (const auto& node : nodes) {
    const bool failed = node.suspicion.failed();
    if (!failed && !node.answering()) continue;  // neither: what was said last still holds
    const auto told = told_failed_.find(node.name);
    if (told != told_failed_.end() && told->second == failed) continue;
    told_failed_[node.name] = failed;
    std::erase_if(told_outcomes_, [&](const auto& outcome) { return outcome.first.second == node.name; });
    if (failed) {
      tell(now, LogLevel::kWarning, "evidence", node.name, node.name + " failed: " + node.suspicion.evidence);
    } else {
      tell(now, LogLevel::kInfo, "evidence", node.name,
           node.name + " answers as a " + (node.facts->in_recovery ? "standby" : "primary") + " on timeline " +
               std::to_string(node.facts->timeline));
    }
  }
}

}  // namespace pgkeel
