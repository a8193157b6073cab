// Retention: physical slots and their copies, WAL that is kept, archives.
#include <algorithm>

#include <fmt/format.h>

#include "proxy/base/sql_quote.h"
#include "replication/model/slot_name.h"
#include "replication/readiness/rule_set.h"

namespace pgkeel {
namespace {

constexpr std::uint64_t kMuchWalBytes = 1ULL << 30;
constexpr std::uint64_t kSegmentBytes = 16ULL << 20;

// The primary has a slot of this name too: it is pgkeel's copy of that one, but for one that somebody made himself.
bool is_copy(const Judged& judged, const NodeReadinessFacts& node, const SlotFacts& slot) {
  if (judged.primary == nullptr || judged.primary == &node) return false;
  return std::ranges::any_of(judged.primary->server->slots,
                             [&](const SlotFacts& other) { return other.name == slot.name && !other.logical; });
}

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
                 .remedy = ours || is_copy(judged, node, slot)
                               ? "pgkeel makes it anew; with more disk, raise max_slot_wal_keep_size"
                               : fmt::format("SELECT pg_drop_replication_slot({}), and set its reader up anew",
                                             quote_literal(slot.name))});
    return;
  }
  if (slot.active_pid || !slot.retained_bytes || *slot.retained_bytes < kMuchWalBytes) return;
  if (is_copy(judged, node, slot)) return;  // nobody reads from a copy; whether much is kept the primary's tells
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

// Its reader would go on from this standby after a failover: is what it needs there?
void judge_copy(const Judged& judged, const NodeReadinessFacts& node, const SlotFacts& slot) {
  const auto find = [&](FindingSeverity severity, std::string problem, std::string remedy) {
    judged.find({.rule = "slot_copy",
                 .node = node.node,
                 .subject = slot.name,
                 .severity = severity,
                 .problem = std::move(problem),
                 .remedy = std::move(remedy)});
  };
  const auto copy = std::ranges::find_if(
      node.server->slots, [&](const SlotFacts& other) { return other.name == slot.name && !other.logical; });
  if (copy == node.server->slots.end()) {
    return find(FindingSeverity::kNotice,
                fmt::format("slot {} of {} has no copy here yet", slot.name, judged.primary->node),
                "pgkeel serve makes it as soon as it can; where it cannot, its events say why");
  }
  if (!slot.restart_lsn.valid() || copy->restart_lsn <= slot.restart_lsn) return;
  const std::uint64_t gap = copy->restart_lsn.value - slot.restart_lsn.value;
  // The primary was asked before: a reader that is at work may have come so far meanwhile.
  if (slot.active_pid && gap <= kSegmentBytes) return;
  find(
      FindingSeverity::kWarning,
      fmt::format("WAL for slot {} is kept here from {} on, and its reader needs it from {} on: after a failover to {} "
                  "it would lack {}",
                  slot.name, format_lsn(copy->restart_lsn), format_lsn(slot.restart_lsn), node.node, bytes_text(gap)),
      fmt::format("let its reader catch up with {}: this ends when it has passed {}", judged.primary->node,
                  format_lsn(copy->restart_lsn)));
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
    if (slot.logical || slot.name.starts_with(kSlotPrefix)) continue;
    judged.each_server([&](const NodeReadinessFacts& node, const ServerFacts&) {
      if (&node != judged.primary && node.priority > 0) judge_copy(judged, node, slot);
    });
  }
}

}  // namespace pgkeel
