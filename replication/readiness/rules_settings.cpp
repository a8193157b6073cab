// Settings: of each server, and where two servers must agree.
#include <algorithm>
#include <set>

#include <fmt/format.h>

#include "replication/model/slot_name.h"
#include "replication/readiness/postgres_versions.h"
#include "replication/readiness/rule_set.h"

namespace pgkeel {
namespace {

void judge_needed(const Judged& judged, const NodeReadinessFacts& node, const ServerFacts& server) {
  if (node.value("wal_level") == "minimal") {
    judged.find({.rule = "wal_level",
                 .node = node.node,
                 .severity = FindingSeverity::kError,
                 .prevents = Prevents::kBoth,
                 .problem = "wal_level is minimal: no standby can follow it",
                 .remedy = alter_system(node, "wal_level", "replica", true)});
  }
  if (node.value("hot_standby") == "off") {
    judged.find({.rule = "hot_standby",
                 .node = node.node,
                 .severity = FindingSeverity::kError,
                 .prevents = Prevents::kBoth,
                 .problem = "hot_standby is off: as a standby it cannot be asked, nor be told to promote",
                 .remedy = alter_system(node, "hot_standby", "on", true)});
  }
  if (server.version_number >= kPostgres17 && node.value("allow_alter_system") == "off") {
    judged.find({.rule = "allow_alter_system",
                 .node = node.node,
                 .severity = FindingSeverity::kError,
                 .prevents = Prevents::kBoth,
                 .problem = "allow_alter_system is off: pgkeel can set neither primary_conninfo nor "
                            "synchronous_standby_names",
                 .remedy = "on " + node.node + ": remove it from postgresql.conf, and SELECT pg_reload_conf()"});
  }
  // As a primary: one for each other node, and pg_basebackup takes a second one for the node that it rebuilds.
  const auto others = static_cast<std::int64_t>(judged.nodes.size()) - 1;
  std::int64_t foreign_senders = 0;
  for (const auto& sender : server.senders) {
    const bool ours = std::ranges::any_of(
        judged.nodes, [&](const NodeReadinessFacts& other) { return other.node == sender.application_name; });
    if (!ours) ++foreign_senders;
  }
  const std::int64_t senders_needed = others + 1 + foreign_senders;
  const auto senders = node.number("max_wal_senders");
  if (senders && *senders < senders_needed) {
    judged.find(
        {.rule = "max_wal_senders",
         .node = node.node,
         .severity = FindingSeverity::kError,
         .prevents = Prevents::kRejoin,
         .problem = fmt::format("max_wal_senders is {}, and {} are needed: one for each other node, one more for "
                                "a rebuild, {} for others that stream",
                                *senders, senders_needed, foreign_senders),
         .remedy =
             alter_system(node, "max_wal_senders", std::to_string(std::max<std::int64_t>(senders_needed, 10)), true)});
  }
  // A standby has, or gets, a copy of each physical one of the primary.
  std::set<std::string> names;
  for (const auto& slot : server.slots) names.insert(slot.name);
  if (judged.primary != nullptr) {
    for (const auto& slot : judged.primary->server->slots) {
      if (!slot.logical) names.insert(slot.name);
    }
  }
  const auto foreign_slots = static_cast<std::int64_t>(
      std::ranges::count_if(names, [](const std::string& name) { return !name.starts_with(kSlotPrefix); }));
  const auto slots = node.number("max_replication_slots");
  if (slots && *slots < others + foreign_slots) {
    judged.find(
        {.rule = "max_replication_slots",
         .node = node.node,
         .severity = FindingSeverity::kError,
         .prevents = Prevents::kRejoin,
         .problem = fmt::format("max_replication_slots is {}, and {} are needed: one for each other node, {} for "
                                "others",
                                *slots, others + foreign_slots, foreign_slots),
         .remedy = alter_system(node, "max_replication_slots",
                                std::to_string(std::max<std::int64_t>(others + foreign_slots, 10)), true)});
  }
}

void judge_rewind(const Judged& judged, const NodeReadinessFacts& node) {
  if (node.value("wal_log_hints") == "off" && node.value("data_checksums") == "off") {
    judged.find({.rule = "wal_log_hints",
                 .node = node.node,
                 .severity = FindingSeverity::kWarning,
                 .problem =
                     "it has neither wal_log_hints nor data checksums: pg_rewind refuses it, and it is rebuilt by "
                     "a copy of everything instead",
                 .remedy = alter_system(node, "wal_log_hints", "on", true)});
  }
  if (node.value("full_page_writes") == "off") {
    judged.find({.rule = "full_page_writes",
                 .node = node.node,
                 .severity = FindingSeverity::kWarning,
                 .problem = "full_page_writes is off: pg_rewind refuses it, and a crash may leave torn pages",
                 .remedy = alter_system(node, "full_page_writes", "on", false)});
  }
  if (node.value("fsync") == "off") {
    judged.find({.rule = "fsync",
                 .node = node.node,
                 .severity = FindingSeverity::kWarning,
                 .problem = "fsync is off: a crash of its host loses acknowledged commits, or the whole database",
                 .remedy = alter_system(node, "fsync", "on", false)});
  }
}

void judge_recommended(const Judged& judged, const NodeReadinessFacts& node) {
  if (node.value("restart_after_crash") == "on") {
    judged.find({.rule = "restart_after_crash",
                 .node = node.node,
                 .severity = FindingSeverity::kNotice,
                 .problem =
                     "restart_after_crash is on: a crashed primary recovers by itself, which may take longer than "
                     "a failover",
                 .remedy = alter_system(node, "restart_after_crash", "off", false)});
  }
  for (const char* name : {"wal_receiver_timeout", "wal_sender_timeout"}) {
    if (node.value(name) != "0") continue;
    judged.find({.rule = name,
                 .node = node.node,
                 .severity = FindingSeverity::kWarning,
                 .problem = fmt::format("{} is 0: a replication connection that is cut is never noticed", name),
                 .remedy = alter_system(node, name, "60s", false)});
  }
  std::vector<std::string> pending;
  for (const auto& [name, setting] : node.server->settings) {
    if (setting.pending_restart) pending.push_back(name);
  }
  if (!pending.empty()) {
    judged.find({.rule = "pending_restart",
                 .node = node.node,
                 .severity = FindingSeverity::kWarning,
                 .problem = comma_list(pending) +
                            " was changed, and takes effect at the next start: after a failover the "
                            "node is not as it is now",
                 .remedy = "restart " + node.node + " when that suits"});
  }
}

void judge_standby(const Judged& judged, const NodeReadinessFacts& node, const ServerFacts& server) {
  if (server.replay_paused) {
    judged.find({.rule = "replay_paused",
                 .node = node.node,
                 .severity = FindingSeverity::kWarning,
                 .problem = "its replay is paused: its promotion ends that, and has to replay first what came in",
                 .remedy = "on " + node.node + ": SELECT pg_wal_replay_resume()"});
  }
  if (const auto delay = node.number("recovery_min_apply_delay"); delay && *delay > 0) {
    judged.find({.rule = "recovery_min_apply_delay",
                 .node = node.node,
                 .severity = node.priority == 0 ? FindingSeverity::kNotice : FindingSeverity::kError,
                 .prevents = Prevents::kFailover,
                 .problem = fmt::format("it is kept {} behind on purpose: it is not promoted automatically",
                                        format_duration(std::chrono::milliseconds(*delay))),
                 .remedy = alter_system(node, "recovery_min_apply_delay", "0", false)});
  }
  for (const char* name : {"recovery_target", "recovery_target_lsn", "recovery_target_name", "recovery_target_time",
                           "recovery_target_xid"}) {
    if (node.value(name).empty()) continue;
    judged.find({.rule = "recovery_target",
                 .node = node.node,
                 .subject = name,
                 .severity = FindingSeverity::kError,
                 .prevents = Prevents::kBoth,
                 .problem = fmt::format("{} is set: as a standby it stops there", name),
                 .remedy = fmt::format("on {}: remove {} from its configuration, and restart it", node.node, name)});
  }
  const std::string target_timeline = node.value("recovery_target_timeline");
  if (!target_timeline.empty() && target_timeline != "latest") {
    judged.find({.rule = "recovery_target_timeline",
                 .node = node.node,
                 .severity = FindingSeverity::kError,
                 .prevents = Prevents::kRejoin,
                 .problem = fmt::format(
                     "recovery_target_timeline is {}: it will not follow a standby that was promoted", target_timeline),
                 .remedy = alter_system(node, "recovery_target_timeline", "latest", true)});
  }
  if (server.in_recovery && !node.value("restore_command").empty()) {
    judged.find({.rule = "restore_command",
                 .node = node.node,
                 .severity = FindingSeverity::kNotice,
                 .problem =
                     "restore_command is set: a promotion asks the archive for the next WAL and for timelines first, "
                     "and waits as long as that takes",
                 .remedy = "see that the command fails fast where the archive cannot be reached"});
  }
}

// What a standby must not have lower than its primary, whoever that is after the next failover: it would not start.
void judge_limits(const Judged& judged) {
  for (const char* name : {"max_connections", "max_worker_processes", "max_wal_senders", "max_prepared_transactions",
                           "max_locks_per_transaction"}) {
    const NodeReadinessFacts* highest = nullptr;
    for (const auto& node : judged.nodes) {
      if (node.number(name) && (highest == nullptr || *node.number(name) > *highest->number(name))) highest = &node;
    }
    for (const auto& node : judged.nodes) {
      const auto own = node.number(name);
      if (!own || *own >= *highest->number(name)) continue;
      const auto of_primary = judged.primary == nullptr ? std::nullopt : judged.primary->number(name);
      const bool now = of_primary && *own < *of_primary;
      judged.find(
          {.rule = "standby_limits",
           .node = node.node,
           .subject = name,
           .severity = FindingSeverity::kError,
           .prevents = now ? Prevents::kBoth : Prevents::kRejoin,
           .problem = fmt::format("{} is {}, and {} has {}: as its standby it would not start, or stop replaying", name,
                                  *own, highest->node, *highest->number(name)),
           .remedy = alter_system(node, name, std::to_string(*highest->number(name)), true)});
    }
  }
}

void judge_differences(const Judged& judged) {
  if (judged.primary == nullptr) return;
  struct Row {
    const char* name;
    const char* consequence;
  };
  constexpr Row kRows[] = {
      {"shared_preload_libraries", "what needs the library fails after a failover"},
      {"ssl", "clients that insist on TLS, or on none, are turned away after a failover"},
      {"archive_mode", "archiving begins or ends with a failover"},
      {"track_commit_timestamp", "commit times are missing after a failover"},
      {"wal_level", "logical decoding works on one of them only"},
      {"synchronous_commit", "what an acknowledged commit means changes with a failover"},
  };
  for (const auto& row : kRows) {
    const std::string of_primary = judged.primary->value(row.name);
    judged.each_server([&](const NodeReadinessFacts& node, const ServerFacts&) {
      if (node.setting(row.name) == nullptr || node.value(row.name) == of_primary) return;
      judged.find({.rule = "differs",
                   .node = node.node,
                   .subject = row.name,
                   .severity = FindingSeverity::kWarning,
                   .problem = fmt::format("{} is '{}', and '{}' on {}: {}", row.name, node.value(row.name), of_primary,
                                          judged.primary->node, row.consequence),
                   .remedy = fmt::format("on {}: ALTER SYSTEM SET {} = '{}'", node.node, row.name, of_primary)});
    });
  }
}

// A node that listens on loopback only, and others on other hosts.
void judge_listening(const Judged& judged, const NodeReadinessFacts& node) {
  const std::string listens = node.value("listen_addresses");
  if (listens != "localhost" && listens != "127.0.0.1" && listens != "::1" && listens != "127.0.0.1,::1") return;
  const bool others_elsewhere = std::ranges::any_of(
      judged.nodes, [&](const NodeReadinessFacts& other) { return other.address.host != node.address.host; });
  if (!others_elsewhere) return;
  judged.find({.rule = "listen_addresses",
               .node = node.node,
               .severity = FindingSeverity::kError,
               .prevents = Prevents::kRejoin,
               .problem = "it listens on loopback only: no standby on another host could follow it",
               .remedy = alter_system(node, "listen_addresses", "*", true)});
}

}  // namespace

void judge_settings(const Judged& judged) {
  judged.each_server([&](const NodeReadinessFacts& node, const ServerFacts& server) {
    judge_needed(judged, node, server);
    judge_rewind(judged, node);
    judge_recommended(judged, node);
    judge_standby(judged, node, server);
    judge_listening(judged, node);
  });
  judge_limits(judged);
  judge_differences(judged);
}

}  // namespace pgkeel
