// Nodes: reachable, of one cluster, in their roles, streaming.
#include <algorithm>
#include <map>

#include <fmt/format.h>

#include "replication/model/slot_name.h"
#include "replication/readiness/rule_set.h"

namespace pgkeel {
namespace {

using namespace std::chrono_literals;

constexpr Duration kClockSkewMax = 1s;
constexpr std::uint32_t kOldestVersion = 130000;
constexpr std::uint32_t kUntestedVersion = 180000;

std::string remedy_of_login(const NodeReadinessFacts& node, const DatabaseUser& user, const std::string& sqlstate) {
  if (sqlstate == "28P01")
    return fmt::format(
        "put the password of {} into {}", user.user,
        user.password_file.empty() ? "the password_file that the configuration shall name" : user.password_file);
  if (sqlstate == "28000")
    return fmt::format("a line in pg_hba.conf of {} that lets {} in to {} from this host, and SELECT pg_reload_conf()",
                       node.node, user.user, user.database);
  if (sqlstate == "53300") return "on " + node.node + ": raise max_connections, or end sessions";
  if (sqlstate == "3D000") return "name a database that exists in `monitor` of the configuration";
  if (sqlstate == "42501") return "run the SQL of `pgkeel setup-sql` on the primary";
  // As libpq puts it: it lives, and does not agree with us on TLS.
  const bool disagrees_on_tls =
      node.unreachable.find("SSL") != std::string::npos || node.unreachable.find("certificate") != std::string::npos;
  if (disagrees_on_tls)
    return "make `server_tls` of the configuration (mode, ca) and ssl, ssl_cert_file, ssl_key_file and ssl_ca_file "
           "of " +
           node.node + " fit together";
  return "start PostgreSQL on " + node.node + ", and see that " + format_host_port(node.address) +
         " can be reached from here";
}

void judge_reachable(const Judged& judged) {
  for (const auto& node : judged.nodes) {
    if (node.server) {
      const std::uint32_t version = node.server->version_number;
      if (version >= kOldestVersion && version < kUntestedVersion) continue;
      const bool too_old = version < kOldestVersion;
      judged.find({.rule = "version",
                   .node = node.node,
                   .severity = too_old ? FindingSeverity::kError : FindingSeverity::kNotice,
                   .prevents = too_old ? Prevents::kBoth : Prevents::kNothing,
                   .problem = fmt::format("PostgreSQL {} is {} this pgkeel knows", version / 10000,
                                          too_old ? "older than what" : "newer than what"),
                   .remedy = too_old ? "upgrade PostgreSQL" : "upgrade pgkeel"});
      continue;
    }
    judged.find({.rule = "reachable",
                 .node = node.node,
                 .severity = FindingSeverity::kError,
                 .prevents = Prevents::kBoth,
                 .problem = fmt::format("{} cannot ask it: {}", judged.cluster.monitor.user, node.unreachable),
                 .remedy = remedy_of_login(node, judged.cluster.monitor, node.unreachable_sqlstate)});
  }
}

void judge_roles(const Judged& judged) {
  std::vector<std::string> primaries;
  std::size_t answering = 0;
  judged.each_server([&](const auto& node, const ServerFacts& server) {
    ++answering;
    if (!server.in_recovery) primaries.push_back(node.node);
  });
  if (primaries.size() > 1) {
    judged.find({.rule = "roles",
                 .severity = FindingSeverity::kError,
                 .prevents = Prevents::kBoth,
                 .problem = comma_list(primaries) + " are all primaries: their histories diverge",
                 .remedy = "decide which history to keep, and shut the others down"});
  }
  if (primaries.empty() && answering == judged.nodes.size()) {
    judged.find({.rule = "roles",
                 .severity = FindingSeverity::kError,
                 .prevents = Prevents::kBoth,
                 .problem = "no node is a primary",
                 .remedy = "promote the one that has the most WAL"});
  }
  const bool any_candidate = std::ranges::any_of(
      judged.nodes, [&](const NodeReadinessFacts& node) { return &node != judged.primary && node.priority > 0; });
  if (judged.nodes.size() < 2 || !any_candidate) {
    judged.find({.rule = "candidates",
                 .severity = FindingSeverity::kError,
                 .prevents = Prevents::kFailover,
                 .problem = "no node beside the primary may ever be promoted",
                 .remedy = "configure a standby with a priority above 0"});
  }
}

void judge_identity(const Judged& judged, const NodeReadinessFacts& node, const ServerFacts& server) {
  const ServerFacts& primary = *judged.primary->server;
  if (server.system_identifier != primary.system_identifier) {
    judged.find({.rule = "system_identifier",
                 .node = node.node,
                 .severity = FindingSeverity::kError,
                 .prevents = Prevents::kBoth,
                 .problem = fmt::format("it is a server of another cluster: system identifier {}, and {} has {}",
                                        server.system_identifier, judged.primary->node, primary.system_identifier),
                 .remedy = "correct its address, or rebuild it from " + judged.primary->node});
    return;
  }
  if (server.version_number / 10000 != primary.version_number / 10000) {
    judged.find({.rule = "version",
                 .node = node.node,
                 .severity = FindingSeverity::kError,
                 .prevents = Prevents::kBoth,
                 .problem = fmt::format("PostgreSQL {}, and {} has {}", server.version_number / 10000,
                                        judged.primary->node, primary.version_number / 10000),
                 .remedy = "install the same major version everywhere"});
  } else if (server.version_number != primary.version_number) {
    judged.find({.rule = "version",
                 .node = node.node,
                 .severity = FindingSeverity::kNotice,
                 .problem = fmt::format("PostgreSQL {}.{}, and {} has {}.{}", server.version_number / 10000,
                                        server.version_number % 10000, judged.primary->node,
                                        primary.version_number / 10000, primary.version_number % 10000),
                 .remedy = "install the same minor version everywhere, standbys first"});
  }
  if (server.in_recovery && server.timeline > primary.timeline) {
    judged.find({.rule = "timeline",
                 .node = node.node,
                 .severity = FindingSeverity::kError,
                 .prevents = Prevents::kFailover,
                 .problem = fmt::format("it is on timeline {}, and {} on {}: it has another history", server.timeline,
                                        judged.primary->node, primary.timeline),
                 .remedy = "pgkeel rejoins it where it may; else rebuild it from " + judged.primary->node});
  }
}

void judge_streaming(const Judged& judged, const NodeReadinessFacts& node, const ServerFacts& server) {
  if (!server.in_recovery) return;
  const ServerFacts& primary = *judged.primary->server;
  const SenderFacts* own = nullptr;
  std::size_t of_its_name = 0;
  for (const auto& sender : primary.senders) {
    if (sender.application_name != node.node) continue;
    own = &sender;
    ++of_its_name;
  }
  if (of_its_name > 1) {
    judged.find({.rule = "impostor",
                 .node = node.node,
                 .severity = FindingSeverity::kError,
                 .prevents = Prevents::kFailover,
                 .problem = fmt::format("{} connections to {} stream as {}: which of them is the standby, and what it "
                                        "has, cannot be told",
                                        of_its_name, judged.primary->node, node.node),
                 .remedy = "give the others (pg_receivewal, a clone, a subscription) another application_name"});
    return;
  }
  if (own == nullptr || (own->state != "streaming" && own->state != "catchup")) {
    judged.find({.rule = "streaming",
                 .node = node.node,
                 .severity = FindingSeverity::kError,
                 .prevents = Prevents::kFailover,
                 .problem = "it does not stream from " + judged.primary->node,
                 .remedy = "pgkeel points it there; the log of " + node.node + " says what is in the way"});
    return;
  }
  if (own->state == "catchup") {
    judged.find({.rule = "streaming",
                 .node = node.node,
                 .severity = FindingSeverity::kWarning,
                 .problem = "it is still catching up with " + judged.primary->node,
                 .remedy = "wait"});
  }
  const auto slot = std::ranges::find(primary.slots, slot_of_node(node.node), &SlotFacts::name);
  if (slot == primary.slots.end() || slot->active_pid != own->pid) {
    judged.find({.rule = "slot",
                 .node = node.node,
                 .severity = FindingSeverity::kWarning,
                 .problem = "it streams without its slot " + slot_of_node(node.node) +
                            ": WAL that it needs may be recycled, and it counts as no synchronous standby",
                 .remedy = "pgkeel sets primary_slot_name; see that it may (`pgkeel setup-sql`)"});
  }
  if (server.upstream_port != 0 && !is_address_of(*judged.primary, server.upstream_host, server.upstream_port)) {
    judged.find({.rule = "upstream",
                 .node = node.node,
                 .severity = FindingSeverity::kWarning,
                 .problem = fmt::format("it streams from {}, which is not the address of {} in the configuration ({})",
                                        format_host_port({server.upstream_host, server.upstream_port}),
                                        judged.primary->node, format_host_port(judged.primary->address)),
                 .remedy = "let it stream from the primary itself, under the address that the configuration names"});
  }
}

void judge_clock(const Judged& judged, const NodeReadinessFacts& node, const ServerFacts& server) {
  if (server.clock_ahead < kClockSkewMax && server.clock_ahead > -kClockSkewMax) return;
  const bool ahead = server.clock_ahead > Duration::zero();
  judged.find({.rule = "clock",
               .node = node.node,
               .severity = FindingSeverity::kWarning,
               .problem = fmt::format("its clock is {} {} that of this host: times in its records do not compare",
                                      format_duration(ahead ? server.clock_ahead : -server.clock_ahead),
                                      ahead ? "ahead of" : "behind"),
               .remedy = "synchronize the clocks (chrony, systemd-timesyncd)"});
}

}  // namespace

void judge_nodes(const Judged& judged) {
  judge_reachable(judged);
  judge_roles(judged);
  judged.each_server([&](const NodeReadinessFacts& node, const ServerFacts& server) {
    judge_clock(judged, node, server);
    if (judged.primary == nullptr || &node == judged.primary) return;
    judge_identity(judged, node, server);
    judge_streaming(judged, node, server);
  });
}

}  // namespace pgkeel
