// Logical slots across a failover.
#include <algorithm>

#include <fmt/format.h>

#include "proxy/base/sql_quote.h"
#include "replication/model/slot_name.h"
#include "replication/readiness/postgres_versions.h"
#include "replication/readiness/rule_set.h"

namespace pgkeel {
namespace {

const SlotFacts* logical_slot_named(const NodeReadinessFacts& node, const std::string& name) {
  const auto found = std::ranges::find_if(node.server->slots,
                                          [&](const SlotFacts& slot) { return slot.logical && slot.name == name; });
  return found == node.server->slots.end() ? nullptr : &*found;
}

void find_slot(const Judged& judged, const NodeReadinessFacts& node, const SlotFacts& slot, const std::string& problem,
               const std::string& remedy) {
  judged.find({.rule = "logical_slot",
               .node = node.node,
               .subject = slot.name,
               .severity = FindingSeverity::kWarning,
               .problem = fmt::format("logical slot {} ({}, {}) {}", slot.name, slot.database, slot.plugin, problem),
               .remedy = remedy});
}

// Before PostgreSQL 16 no logical slot can be made on a standby: one that is there, and that no extension looks after,
// is from the time when this node was the primary.
void judge_left_over(const Judged& judged, const NodeReadinessFacts& node) {
  const bool is_looked_after = node.value("shared_preload_libraries").find("pg_failover_slots") != std::string::npos;
  if (node.server->version_number >= kPostgres16 || is_looked_after) return;
  for (const auto& slot : node.server->slots) {
    if (!slot.logical) continue;
    find_slot(judged, node, slot,
              "was left from the time when it was the primary: it keeps WAL, and after a failover to it a consumer "
              "would miss changes without an error",
              fmt::format("on {}: SELECT pg_drop_replication_slot({})", node.node, quote_literal(slot.name)));
  }
}

// What PostgreSQL 17 needs to synchronize failover slots to this standby; true: it has it, as far as that is known.
bool can_synchronize(const Judged& judged, const NodeReadinessFacts& node) {
  const auto before = judged.findings.size();
  const auto find = [&](const std::string& setting, const std::string& problem, const std::string& remedy) {
    judged.find({.rule = "failover_slots",
                 .node = node.node,
                 .subject = setting,
                 .severity = FindingSeverity::kWarning,
                 .problem = problem + ": failover slots are not synchronized to it, and are not there after a failover",
                 .remedy = remedy});
  };
  for (const std::string setting : {"sync_replication_slots", "hot_standby_feedback"}) {
    if (node.value(setting) == "off") find(setting, setting + " is off", alter_system(node, setting, "on", false));
  }
  const std::string conninfo = node.value("primary_conninfo");
  const bool names_database = conninfo.find("dbname") != std::string::npos || conninfo.starts_with("postgres");
  if (!conninfo.empty() && !names_database) {
    find("primary_conninfo", "its primary_conninfo names no database (dbname)",
         "pgkeel adds it when it points " + node.node + " at a primary; until then ALTER SYSTEM SET primary_conninfo");
  }
  if (node.value("primary_slot_name").empty() && node.server->settings_are_complete)
    find("primary_slot_name", "primary_slot_name is empty",
         "pgkeel sets it when it points " + node.node + " at a primary");
  return judged.findings.size() == before;
}

// Logical consumers must not get ahead of a standby that may become the primary.
void judge_guard(const Judged& judged, const NodeReadinessFacts& node) {
  const NodeReadinessFacts& primary = *judged.primary;
  const auto guarded = [](const NodeReadinessFacts& of, const NodeReadinessFacts& slot) {
    return comma_separated_contains(of.value("synchronized_standby_slots"), slot_of_node(slot.node));
  };
  if (!guarded(primary, node)) {
    std::vector<std::string> all;
    for (const auto& other : judged.nodes) {
      if (&other != &primary) all.push_back(slot_of_node(other.node));
    }
    judged.find(
        {.rule = "synchronized_standby_slots",
         .node = primary.node,
         .subject = node.node,
         .severity = FindingSeverity::kWarning,
         .problem = fmt::format("synchronized_standby_slots lacks {}: consumers of failover slots may get what {} "
                                "does not have yet, and would not have after a failover",
                                slot_of_node(node.node), node.node),
         .remedy = alter_system(primary, "synchronized_standby_slots", comma_list(all), false)});
  }
  if (guarded(node, node)) {
    judged.find({.rule = "synchronized_standby_slots",
                 .node = node.node,
                 .subject = node.node,
                 .severity = FindingSeverity::kWarning,
                 .problem = fmt::format("synchronized_standby_slots names its own slot {}, which it will not have as a "
                                        "primary: consumers of failover slots would then wait for ever",
                                        slot_of_node(node.node)),
                 .remedy = fmt::format("on {}: ALTER SYSTEM SET synchronized_standby_slots to the slots of the other "
                                       "nodes; then SELECT pg_reload_conf()",
                                       node.node)});
  }
}

void judge_failover_slots(const Judged& judged, const NodeReadinessFacts& node,
                          const std::vector<const SlotFacts*>& slots) {
  const bool can = can_synchronize(judged, node);
  judge_guard(judged, node);
  for (const SlotFacts* slot : slots) {
    const SlotFacts* copy = logical_slot_named(node, slot->name);
    if (copy != nullptr && !copy->synced) {
      find_slot(judged, node, *slot,
                "is not synchronized to it, because it has another slot of that name, which is no copy",
                fmt::format("on {}: SELECT pg_drop_replication_slot({})", node.node, quote_literal(slot->name)));
    } else if (can && (copy == nullptr || copy->wal_status == "lost")) {
      find_slot(judged, node, *slot, "is not synchronized to it yet",
                "the log of " + node.node + " says what its slot sync worker waits for");
    }
  }
}

}  // namespace

void judge_logical_slots(const Judged& judged) {
  if (judged.primary == nullptr) return;
  const NodeReadinessFacts& primary = *judged.primary;
  std::vector<const SlotFacts*> failover_slots;
  for (const auto& slot : primary.server->slots) {
    if (!slot.logical) continue;
    if (slot.failover) {
      failover_slots.push_back(&slot);
    } else if (primary.server->version_number < kPostgres17) {
      find_slot(judged, primary, slot, "is not there after a failover, nor what it had not sent",
                "set its subscriber up anew after each failover, or upgrade to PostgreSQL 17");
    } else {
      find_slot(judged, primary, slot, "is no failover slot: it is not there after a failover",
                "ALTER SUBSCRIPTION … SET (failover = true) on its subscriber");
    }
  }
  judged.each_server([&](const NodeReadinessFacts& node, const ServerFacts&) {
    if (&node == &primary) return;
    judge_left_over(judged, node);
    if (!failover_slots.empty() && node.priority > 0) judge_failover_slots(judged, node, failover_slots);
  });
}

}  // namespace pgkeel
