// Retention: slots, WAL that is kept, archives, logical replication across a failover.
#include <algorithm>

#include <fmt/format.h>

#include "proxy/base/sql_quote.h"
#include "replication/model/slot_name.h"
#include "replication/readiness/rule_set.h"

namespace pgkeel {
namespace {

constexpr std::uint32_t kPostgres17 = 170000;
constexpr std::uint64_t kMuchWalBytes = 1ULL << 30;

void judge_physical_slot(const Judged& judged, const NodeReadinessFacts& node, const SlotFacts& slot) {
  const bool ours = slot.name.starts_with(kSlotPrefix);
  const bool gone = slot.wal_status == "lost";
  if (gone || slot.wal_status == "unreserved") {
    judged.find({.rule = "slot_lost",
                 .node = node.node,
                 .subject = slot.name,
                 .severity = FindingSeverity::kWarning,
                 .problem = fmt::format("slot {} {}, by max_slot_wal_keep_size{}", slot.name,
                                        gone ? "has lost its WAL" : "is about to lose its WAL",
                                        ours ? ": its node has to be rebuilt" : ""),
                 .remedy = ours ? "pgkeel makes it anew; with more disk, raise max_slot_wal_keep_size"
                                : fmt::format("SELECT pg_drop_replication_slot({}), and set its reader up anew",
                                              quote_literal(slot.name))});
    return;
  }
  if (slot.active_pid || !slot.retained_bytes || *slot.retained_bytes < kMuchWalBytes) return;
  judged.find({.rule = "slot_keeps_wal",
               .node = node.node,
               .subject = slot.name,
               .severity = FindingSeverity::kWarning,
               .problem = fmt::format("slot {}, from which nobody reads, keeps {} of WAL", slot.name,
                                      bytes_text(*slot.retained_bytes)),
               .remedy = ours ? "bring its node back, or remove it from the configuration"
                              : fmt::format("SELECT pg_drop_replication_slot({}) where its reader is gone for good",
                                            quote_literal(slot.name))});
}

void judge_logical_slot(const Judged& judged, const SlotFacts& slot) {
  const NodeReadinessFacts& primary = *judged.primary;
  const auto find = [&](FindingSeverity severity, const std::string& problem, const std::string& remedy,
                        const std::string& node) {
    judged.find({.rule = "logical_slot",
                 .node = node,
                 .subject = slot.name,
                 .severity = severity,
                 .problem = fmt::format("logical slot {} ({}, {}) {}", slot.name, slot.database, slot.plugin, problem),
                 .remedy = remedy});
  };
  if (primary.server->version_number < kPostgres17) {
    return find(FindingSeverity::kWarning, "is not there after a failover, nor what it had not sent",
                "set its subscriber up anew after each failover, or upgrade to PostgreSQL 17", primary.node);
  }
  if (!slot.failover) {
    return find(FindingSeverity::kWarning, "is no failover slot: it is not there after a failover",
                "ALTER SUBSCRIPTION … SET (failover = true) on its subscriber", primary.node);
  }
  const std::string guarded = primary.value("synchronized_standby_slots");
  for (const auto& node : judged.nodes) {
    if (&node == &primary || !node.server) continue;
    const bool there = std::ranges::any_of(node.server->slots, [&](const SlotFacts& copy) {
      return copy.name == slot.name && copy.logical && copy.wal_status != "lost";
    });
    if (!there) {
      find(FindingSeverity::kWarning, "is not synchronized to " + node.node,
           alter_system(node, "sync_replication_slots", "on", false) +
               "; it also needs hot_standby_feedback = on, and a dbname in primary_conninfo",
           node.node);
    }
    if (guarded.find(slot_of_node(node.node)) == std::string::npos) {
      find(FindingSeverity::kWarning,
           "may send its subscriber what " + node.node + " does not have yet, and would not have after a failover",
           fmt::format("on {}: ALTER SYSTEM SET synchronized_standby_slots = '{}', with the slot of every standby",
                       primary.node, slot_of_node(node.node)),
           primary.node);
    }
  }
}

void judge_limits_of_retention(const Judged& judged, const NodeReadinessFacts& node) {
  const auto limit = node.number("max_slot_wal_keep_size");
  const auto checkpoint_distance = node.number("max_wal_size");
  if (!limit) return;
  if (*limit < 0) {
    judged.find({.rule = "max_slot_wal_keep_size",
                 .node = node.node,
                 .severity = FindingSeverity::kNotice,
                 .problem = "max_slot_wal_keep_size is -1: a standby that stays away fills the disk with WAL",
                 .remedy = "on " + node.node +
                           ": ALTER SYSTEM SET max_slot_wal_keep_size to what its disk can spare, and "
                           "more than max_wal_size; then SELECT pg_reload_conf()"});
  } else if (checkpoint_distance && *limit < *checkpoint_distance) {
    judged.find(
        {.rule = "max_slot_wal_keep_size",
         .node = node.node,
         .severity = FindingSeverity::kWarning,
         .problem = fmt::format("max_slot_wal_keep_size ({}) is below max_wal_size ({}): slots may be lost between "
                                "two checkpoints, and a rejoin has to copy everything",
                                bytes_text(static_cast<std::uint64_t>(*limit)),
                                bytes_text(static_cast<std::uint64_t>(*checkpoint_distance))),
         .remedy = "on " + node.node +
                   ": ALTER SYSTEM SET max_slot_wal_keep_size to more than max_wal_size; then SELECT "
                   "pg_reload_conf()"});
  }
}

void judge_archive(const Judged& judged, const NodeReadinessFacts& node, const ServerFacts& server) {
  const std::string mode = node.value("archive_mode");
  if (mode.empty() || mode == "off") return;
  const bool visible = server.settings_are_complete || server.rights.superuser;
  if (visible && node.value("archive_command").empty() && node.value("archive_library").empty()) {
    judged.find(
        {.rule = "archive_command",
         .node = node.node,
         .severity = FindingSeverity::kWarning,
         .problem = fmt::format("archive_mode is {} and there is no archive_command: as a primary it keeps all WAL "
                                "until its disk is full",
                                mode),
         .remedy = "set archive_command; '/bin/true' where nothing is to be archived"});
  } else if (server.archiver_fails) {
    judged.find({.rule = "archive_command",
                 .node = node.node,
                 .severity = FindingSeverity::kWarning,
                 .problem = fmt::format("archiving {} failed: WAL is kept until it works, or the disk is full",
                                        server.archiver_failed_file),
                 .remedy = "the log of " + node.node + " says what archive_command failed with"});
  }
}

}  // namespace

void judge_retention(const Judged& judged) {
  judged.each_server([&](const NodeReadinessFacts& node, const ServerFacts& server) {
    judge_limits_of_retention(judged, node);
    judge_archive(judged, node, server);
    for (const auto& slot : server.slots) {
      if (!slot.logical) judge_physical_slot(judged, node, slot);
    }
  });
  if (judged.primary == nullptr) return;
  for (const auto& slot : judged.primary->server->slots) {
    if (slot.logical) judge_logical_slot(judged, slot);
  }
}

}  // namespace pgkeel
