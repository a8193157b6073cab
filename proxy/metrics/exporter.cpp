#include "proxy/metrics/exporter.h"

#include <algorithm>
#include <functional>
#include <utility>

#include "proxy/base/version.h"
#include "proxy/metrics/agreement_metrics.h"
#include "proxy/metrics/families.h"

namespace pgkeel {
namespace {

using prometheus::MetricType;

void add_clusters(Families& families, const std::vector<ClusterStatus>& clusters) {
  struct Row {
    const char* name;
    const char* help;
    MetricType type;
    double (*value)(const ClusterStatus&);
  };
  static constexpr auto kGauge = MetricType::Gauge;
  static constexpr auto kCounter = MetricType::Counter;
  const Row rows[] = {
      {"pgkeel_epoch", "Epoch of the route", kGauge,
       [](const ClusterStatus& cluster) { return number(cluster.epoch); }},
      {"pgkeel_route_open", "1 where the access point leads to a node", kGauge,
       [](const ClusterStatus& cluster) { return cluster.route.empty() ? 0.0 : 1.0; }},
      {"pgkeel_state_durable", "0 where the state could not be stored", kGauge,
       [](const ClusterStatus& cluster) { return cluster.state_error.empty() ? 1.0 : 0.0; }},
      {"pgkeel_promised_standbys",
       "On how many of the safe standbys each acknowledged commit is; 0: nothing is promised", kGauge,
       [](const ClusterStatus& cluster) { return number(cluster.safe_standbys_needed); }},
      {"pgkeel_failovers_total", "Changes of the primary made by this process", kCounter,
       [](const ClusterStatus& cluster) { return number(cluster.failovers); }},
      {"pgkeel_last_failover_duration_seconds", "From the intent of the last failover to its route", kGauge,
       [](const ClusterStatus& cluster) { return seconds(cluster.last_failover); }},
      {"pgkeel_switchovers_total", "Switchovers made by this process", kCounter,
       [](const ClusterStatus& cluster) { return number(cluster.switchovers); }},
      {"pgkeel_last_switchover_duration_seconds", "From the begin of the last switchover's drain to its route", kGauge,
       [](const ClusterStatus& cluster) { return seconds(cluster.last_switchover); }},
      {"pgkeel_client_connections_draining", "Client connections in a transaction that a switchover waits for", kGauge,
       [](const ClusterStatus& cluster) { return number(cluster.sessions.drain_awaits); }},
      {"pgkeel_quarantined_transactions",
       "Committed transactions that diverged nodes alone had, of which the quarantine still has the data: `pgkeel "
       "lost`",
       kGauge,
       [](const ClusterStatus& cluster) {
         std::uint64_t transactions = 0;
         for (const auto& report : cluster.lost_reports) transactions += report.transactions;
         return number(transactions);
       }},
      {"pgkeel_lost_transactions_total",
       "Committed transactions that diverged nodes alone had, of reports that this process was the first to tell of",
       kCounter, [](const ClusterStatus& cluster) { return number(cluster.lost_transactions); }},
      {"pgkeel_lost_wal_bytes_total", "WAL that diverged nodes alone had, likewise", kCounter,
       [](const ClusterStatus& cluster) { return number(cluster.lost_wal_bytes); }},
      {"pgkeel_client_connections", "Client connections now", kGauge,
       [](const ClusterStatus& cluster) { return number(cluster.sessions.open); }},
      {"pgkeel_client_connections_held", "Client connections that wait for a route or their turn", kGauge,
       [](const ClusterStatus& cluster) { return number(cluster.sessions.held); }},
      {"pgkeel_client_connections_in_former_processes",
       "Client connections that did not go along at a restart in place, and end in the process that was before", kGauge,
       [](const ClusterStatus& cluster) { return number(cluster.draining_sessions); }},
      {"pgkeel_client_connections_taken_over_total",
       "Established client connections that came along at a restart in place", kCounter,
       [](const ClusterStatus& cluster) { return number(cluster.sessions.taken_over); }},
      {"pgkeel_client_connections_established", "Client connections past their login", kGauge,
       [](const ClusterStatus& cluster) { return number(cluster.sessions.established); }},
      {"pgkeel_client_connections_accepted_total", "Client connections accepted", kCounter,
       [](const ClusterStatus& cluster) { return number(cluster.sessions.accepted); }},
      {"pgkeel_client_connections_dropped_silent_total",
       "Client connections that were dropped before their startup packet, because there were too many such", kCounter,
       [](const ClusterStatus& cluster) { return number(cluster.sessions.newcomers_dropped); }},
      {"pgkeel_client_tls_handshakes_total", "TLS handshakes with clients that succeeded", kCounter,
       [](const ClusterStatus& cluster) { return number(cluster.sessions.client_handshakes); }},
      {"pgkeel_client_tls_handshakes_failed_total", "TLS handshakes with clients that failed", kCounter,
       [](const ClusterStatus& cluster) { return number(cluster.sessions.client_handshakes_failed); }},
      {"pgkeel_server_logins_total", "Logins to servers finished", kCounter,
       [](const ClusterStatus& cluster) { return number(cluster.sessions.logins); }},
      {"pgkeel_server_logins_unanswered_total", "Logins that a server gave no answer for failure_timeout", kCounter,
       [](const ClusterStatus& cluster) { return number(cluster.sessions.logins_unanswered); }},
      {"pgkeel_cancel_requests_forwarded_total", "Cancel requests forwarded", kCounter,
       [](const ClusterStatus& cluster) { return number(cluster.sessions.cancels_forwarded); }},
      {"pgkeel_cancel_requests_held_back_total",
       "Cancel requests that were not forwarded because a commit waited for a standby, or that could not be ruled out",
       kCounter, [](const ClusterStatus& cluster) { return number(cluster.sessions.cancels_held_back); }},
      {"pgkeel_sessions_idle", "Sessions without an open transaction", kGauge,
       [](const ClusterStatus& cluster) { return number(cluster.sessions.by_state.idle); }},
      {"pgkeel_sessions_in_transaction", "Sessions inside a transaction, whose client is to speak", kGauge,
       [](const ClusterStatus& cluster) { return number(cluster.sessions.by_state.in_transaction); }},
      {"pgkeel_sessions_busy", "Sessions with a statement on its way, or not answered yet", kGauge,
       [](const ClusterStatus& cluster) { return number(cluster.sessions.by_state.busy); }},
      {"pgkeel_sessions_in_commit", "Sessions with a COMMIT on its way", kGauge,
       [](const ClusterStatus& cluster) { return number(cluster.sessions.by_state.in_commit); }},
      {"pgkeel_sessions_ended_idle_total", "Sessions that their server or route ended while no transaction was open",
       kCounter, [](const ClusterStatus& cluster) { return number(cluster.sessions.ended_idle); }},
      {"pgkeel_sessions_ended_in_transaction_total", "Sessions that their server or route ended inside a transaction",
       kCounter, [](const ClusterStatus& cluster) { return number(cluster.sessions.ended_in_transaction); }},
      {"pgkeel_sessions_ended_busy_total", "Sessions that their server or route ended while a statement was on its way",
       kCounter, [](const ClusterStatus& cluster) { return number(cluster.sessions.ended_busy); }},
      {"pgkeel_sessions_ended_in_commit_total",
       "Sessions that their server or route ended while a COMMIT was on its way", kCounter,
       [](const ClusterStatus& cluster) { return number(cluster.sessions.ended_in_commit); }},
      {"pgkeel_client_connections_released_total",
       "Client connections that waited when a route opened, and were let on to it", kCounter,
       [](const ClusterStatus& cluster) { return number(cluster.sessions.released); }},
      {"pgkeel_logical_slots_left", "Logical slots that did not come along to the present primary", kGauge,
       [](const ClusterStatus& cluster) { return number(cluster.left_slots.size()); }},
      {"pgkeel_commit_waits_interrupted_total",
       "Sessions ended because the wait of a commit for a standby was interrupted on the server", kCounter,
       [](const ClusterStatus& cluster) { return number(cluster.sessions.commit_waits_interrupted); }},
      {"pgkeel_received_from_clients_bytes_total", "Bytes received from clients", kCounter,
       [](const ClusterStatus& cluster) { return number(cluster.sessions.bytes_from_clients); }},
      {"pgkeel_received_from_servers_bytes_total", "Bytes received from servers", kCounter,
       [](const ClusterStatus& cluster) { return number(cluster.sessions.bytes_from_servers); }},
      {"pgkeel_closed_inside_message_total", "Sessions closed without an error because a message had begun", kCounter,
       [](const ClusterStatus& cluster) { return number(cluster.sessions.closed_without_error_at_unclean_boundary); }},
  };
  for (const Row& row : rows) {
    families.family(row.name, row.help, row.type);
    for (const auto& cluster : clusters) families.add({{"cluster", cluster.name}}, row.value(cluster));
  }
  families.family("pgkeel_condition", "1 for the condition that the cluster is in", kGauge);
  for (const auto& cluster : clusters) {
    for (const char* condition : {"normal", "degraded", "maintenance", "switching over", "failing over", "stopped",
                                  "torn down", "no route", "collision"}) {
      families.add({{"cluster", cluster.name}, {"condition", condition}}, cluster.condition == condition ? 1 : 0);
    }
  }
  families.family("pgkeel_ready_for_failover", "1 where a failover would work now, as far as the last look says",
                  kGauge);
  for (const auto& cluster : clusters) {
    if (cluster.readiness)
      families.add({{"cluster", cluster.name}}, cluster.readiness->readiness.failover_would_work ? 1 : 0);
  }
  families.family("pgkeel_ready_for_rejoin", "1 where every node could become a standby again", kGauge);
  for (const auto& cluster : clusters) {
    if (cluster.readiness)
      families.add({{"cluster", cluster.name}}, cluster.readiness->readiness.rejoin_would_work ? 1 : 0);
  }
  families.family("pgkeel_readiness_findings", "What would go wrong in a failover or rejoin, by severity", kGauge);
  for (const auto& cluster : clusters) {
    if (!cluster.readiness) continue;
    for (const auto severity : kAllFindingSeverities) {
      const auto count = std::ranges::count(cluster.readiness->readiness.findings, severity, &Finding::severity);
      families.add({{"cluster", cluster.name}, {"severity", severity_name(severity)}}, static_cast<double>(count));
    }
  }
  families.family("pgkeel_collision_timeline", "Timeline of a node that took writes apart from another one", kGauge);
  for (const auto& cluster : clusters) {
    if (!cluster.collision) continue;
    for (const auto& side : cluster.collision->sides)
      families.add({{"cluster", cluster.name}, {"node", side.node}}, side.timeline);
  }
  families.family("pgkeel_collision_fork_lsn_bytes", "The last position that nodes in a collision share", kGauge);
  for (const auto& cluster : clusters) {
    if (!cluster.collision || !cluster.collision->fork) continue;
    families.add({{"cluster", cluster.name}, {"timeline", std::to_string(cluster.collision->fork->timeline)}},
                 number(cluster.collision->fork->end.value));
  }
  families.family("pgkeel_maintenance_since_timestamp_seconds",
                  "Since when an operator has had a node under maintenance; without `node`: the whole cluster", kGauge);
  for (const auto& cluster : clusters) {
    for (const auto& each : cluster.maintenance) {
      Labels labels = {{"cluster", cluster.name}};
      if (!each.node.empty()) labels.emplace_back("node", each.node);
      families.add(labels, seconds(each.since.time_since_epoch()));
    }
  }
  families.family("pgkeel_client_errors_total", "FATAL errors created by pgkeel, by SQLSTATE", kCounter);
  for (const auto& cluster : clusters) {
    for (const auto& [sqlstate, count] : cluster.sessions.errors_by_sqlstate) {
      families.add({{"cluster", cluster.name}, {"sqlstate", sqlstate}}, number(count));
    }
  }
}

void add_changes(Families& families, const std::vector<ClusterStatus>& clusters) {
  families.family(
      "pgkeel_primary_changes_total",
      "Failovers and switchovers, refused ones too: cause is what was known of the primary, or who wanted it",
      MetricType::Counter);
  for (const auto& cluster : clusters) {
    for (const auto& change : cluster.changes)
      families.add({{"cluster", cluster.name}, {"cause", change.cause}, {"result", change.result}},
                   number(change.count));
  }
  families.family("pgkeel_primary_change_phase_seconds",
                  "How long each phase of a failover or switchover took: from the step before it",
                  MetricType::Histogram);
  for (const auto& cluster : clusters) {
    for (const auto& phase : cluster.phases)
      families.add({{"cluster", cluster.name}, {"kind", phase.kind}, {"phase", phase.phase}}, phase.durations);
  }
  families.family("pgkeel_client_hold_seconds",
                  "How long client connections were held that did not get to their server at once",
                  MetricType::Histogram);
  for (const auto& cluster : clusters) families.add({{"cluster", cluster.name}}, cluster.sessions.waits);
}

void add_loops(Families& families, const std::vector<LoopStatus>& loops) {
  families.family("pgkeel_loop_lag_seconds", "How late a thread's loop was at worst in the last 10 to 20 seconds",
                  MetricType::Gauge);
  for (const auto& loop : loops) families.add({{"loop", loop.name}}, seconds(loop.worst_lag));
}

using UseNode = std::function<void(const ClusterStatus&, const NodeStatus&, const Labels&)>;

void add_hosts(Families& families, const std::function<void(const UseNode&)>& for_nodes) {
  struct DiskRow {
    const char* name;
    const char* help;
    std::uint64_t DiskFacts::*bytes;
  };
  constexpr DiskRow kDiskRows[] = {
      {"pgkeel_node_disk_free_bytes", "Free on a file system that holds the node's server, for others than root",
       &DiskFacts::free_bytes},
      {"pgkeel_node_disk_size_bytes", "Size of a file system that holds the node's server", &DiskFacts::total_bytes},
  };
  for (const DiskRow& row : kDiskRows) {
    families.family(row.name, row.help, MetricType::Gauge);
    for_nodes([&](const auto&, const auto& node, const auto& labels) {
      if (!node.host) return;
      for (const auto& disk : node.host->disks) {
        Labels of_disk = labels;
        of_disk.emplace_back("holds", disk.holds);
        of_disk.emplace_back("path", disk.path);
        families.add(of_disk, number(disk.*row.bytes));
      }
    });
  }
  struct MemoryRow {
    const char* name;
    const char* help;
    std::uint64_t HostFacts::*bytes;
  };
  constexpr MemoryRow kMemoryRows[] = {
      {"pgkeel_node_memory_available_bytes", "Memory of the node's host that can be had without swapping",
       &HostFacts::memory_available_bytes},
      {"pgkeel_node_memory_size_bytes", "Memory of the node's host", &HostFacts::memory_total_bytes},
  };
  for (const MemoryRow& row : kMemoryRows) {
    families.family(row.name, row.help, MetricType::Gauge);
    for_nodes([&](const auto&, const auto& node, const auto& labels) {
      if (node.host && node.host->memory_total_bytes > 0) families.add(labels, number((*node.host).*row.bytes));
    });
  }
}

void add_replication_lag(Families& families, const std::function<void(const UseNode&)>& for_nodes) {
  struct Row {
    const char* name;
    const char* help;
    std::uint64_t ReplicationLag::*bytes;
    std::optional<Duration> ReplicationLag::*time;
  };
  constexpr Row kRows[] = {
      {"pgkeel_node_write_lag", "that the standby has not written", &ReplicationLag::write_bytes,
       &ReplicationLag::write},
      {"pgkeel_node_flush_lag", "that the standby has not flushed", &ReplicationLag::flush_bytes,
       &ReplicationLag::flush},
      {"pgkeel_node_replay_lag", "that the standby has not replayed", &ReplicationLag::replay_bytes,
       &ReplicationLag::replay},
  };
  for (const Row& row : kRows) {
    families.family(std::string(row.name) + "_bytes", std::string("WAL of the primary ") + row.help, MetricType::Gauge);
    for_nodes([&](const auto&, const auto& node, const auto& labels) {
      if (node.replication) families.add(labels, number((*node.replication).*row.bytes));
    });
    families.family(std::string(row.name) + "_seconds",
                    std::string("Age of the newest WAL that the standby answered for; of WAL ") + row.help,
                    MetricType::Gauge);
    for_nodes([&](const auto&, const auto& node, const auto& labels) {
      if (node.replication && (*node.replication).*row.time)
        families.add(labels, seconds(*((*node.replication).*row.time)));
    });
  }
}

void add_nodes(Families& families, const std::vector<ClusterStatus>& clusters) {
  const auto for_nodes = [&](const UseNode& use) {
    for (const auto& cluster : clusters) {
      for (const auto& node : cluster.nodes) use(cluster, node, {{"cluster", cluster.name}, {"node", node.name}});
    }
  };
  families.family("pgkeel_node_up", "1 where the node answers", MetricType::Gauge);
  for_nodes(
      [&](const auto&, const auto& node, const auto& labels) { families.add(labels, node.role.empty() ? 0 : 1); });
  families.family("pgkeel_node_primary", "1 where the node answers as a primary", MetricType::Gauge);
  for_nodes(
      [&](const auto&, const auto& node, const auto& labels) { families.add(labels, node.role == "primary" ? 1 : 0); });
  families.family("pgkeel_node_routed", "1 where the access point leads to the node", MetricType::Gauge);
  for_nodes([&](const auto& cluster, const auto& node, const auto& labels) {
    families.add(labels, cluster.route == node.name ? 1 : 0);
  });
  families.family("pgkeel_node_timeline", "Timeline of the node", MetricType::Gauge);
  for_nodes([&](const auto&, const auto& node, const auto& labels) { families.add(labels, node.timeline); });
  families.family("pgkeel_node_streaming", "1 where the standby's walreceiver streams", MetricType::Gauge);
  for_nodes([&](const auto&, const auto& node, const auto& labels) { families.add(labels, node.streaming ? 1 : 0); });
  families.family("pgkeel_node_safe", "1 where the standby is counted on to hold acknowledged commits",
                  MetricType::Gauge);
  for_nodes([&](const auto&, const auto& node, const auto& labels) { families.add(labels, node.safe ? 1 : 0); });
  families.family("pgkeel_node_lag_bytes", "WAL that the standby has not received", MetricType::Gauge);
  for_nodes([&](const auto&, const auto& node, const auto& labels) {
    if (node.lag_bytes) families.add(labels, number(*node.lag_bytes));
  });
  families.family("pgkeel_agent_certificate_end_timestamp_seconds",
                  "When the certificate ends that the node's agent shows (side=\"agent\") or pgkeel shows it "
                  "(side=\"pgkeel\"), or its authority's",
                  MetricType::Gauge);
  for_nodes([&](const auto&, const auto& node, const auto& labels) {
    for (const auto& [side, ends] :
         {std::pair("agent", node.agent_certificate_ends), std::pair("pgkeel", node.own_certificate_ends)}) {
      if (!ends) continue;
      Labels of_side = labels;
      of_side.emplace_back("side", side);
      families.add(of_side, seconds(ends->time_since_epoch()));
    }
  });
  add_hosts(families, for_nodes);
  add_replication_lag(families, for_nodes);
  families.family("pgkeel_node_uptime_seconds", "Since the start of the node's postmaster", MetricType::Gauge);
  for_nodes([&](const auto&, const auto& node, const auto& labels) {
    if (!node.role.empty()) families.add(labels, seconds(node.uptime));
  });
  families.family("pgkeel_node_last_answer_age_seconds", "Since the node's last answer to a probe", MetricType::Gauge);
  for_nodes([&](const auto&, const auto& node, const auto& labels) {
    if (node.last_answer_ago) families.add(labels, seconds(*node.last_answer_ago));
  });
  families.family("pgkeel_probes_total", "Probes of the node", MetricType::Counter);
  for_nodes([&](const auto&, const auto& node, const auto& labels) { families.add(labels, number(node.probes)); });
  families.family("pgkeel_probe_failures_total", "Probes without facts", MetricType::Counter);
  for_nodes(
      [&](const auto&, const auto& node, const auto& labels) { families.add(labels, number(node.failed_probes)); });
  families.family("pgkeel_last_probe_duration_seconds", "How long the last probe took", MetricType::Gauge);
  for_nodes([&](const auto&, const auto& node, const auto& labels) {
    families.add(labels, seconds(node.last_probe_duration));
  });
}

void add_configuration(Families& families, const ConfigurationStatus& configuration) {
  families.family("pgkeel_config_reloads_total", "Reloads of the configuration, by how they ended",
                  MetricType::Counter);
  families.add({{"result", "success"}}, number(configuration.reloads_succeeded));
  families.add({{"result", "refused"}}, number(configuration.reloads_refused));
  families.family("pgkeel_config_last_reload_success_timestamp_seconds",
                  "When the configuration that runs was read: at the last reload that succeeded, or at the start",
                  MetricType::Gauge);
  families.add({}, seconds(configuration.read_at.time_since_epoch()));
  families.family("pgkeel_config_in_force",
                  "0 where the last reload was refused: the configuration on disk is not what runs", MetricType::Gauge);
  families.add({}, configuration.problems.empty() ? 1 : 0);
  families.family("pgkeel_config_changes_waiting", "Changes of the configuration that wait for a restart",
                  MetricType::Gauge);
  families.add({}, number(configuration.waiting.size()));
}

void add_read_only(Families& families, const std::vector<ClusterStatus>& clusters) {
  struct Row {
    const char* name;
    const char* help;
    MetricType type;
    double (*value)(const ClusterSessionStats&);
  };
  static constexpr Row kRows[] = {
      {"pgkeel_read_only_client_connections", "Client connections of the read-only endpoint, in whatever state",
       MetricType::Gauge, [](const ClusterSessionStats& sessions) { return number(sessions.open); }},
      {"pgkeel_read_only_client_connections_held", "Of these, waiting for a node or for their turn at login_rate",
       MetricType::Gauge, [](const ClusterSessionStats& sessions) { return number(sessions.held); }},
      {"pgkeel_read_only_logins_total", "Server logins finished through the read-only endpoint", MetricType::Counter,
       [](const ClusterSessionStats& sessions) { return number(sessions.logins); }},
  };
  for (const Row& row : kRows) {
    families.family(row.name, row.help, row.type);
    for (const auto& cluster : clusters) {
      if (cluster.read_only) families.add({{"cluster", cluster.name}}, row.value(cluster.read_only->sessions));
    }
  }
  const auto for_readers = [&](const std::function<void(const ReaderStatus&, const Labels&)>& use) {
    for (const auto& cluster : clusters) {
      if (!cluster.read_only) continue;
      for (const auto& reader : cluster.read_only->nodes)
        use(reader, {{"cluster", cluster.name}, {"node", reader.node}});
    }
  };
  families.family("pgkeel_read_only_sessions", "Sessions of the read-only endpoint at the node", MetricType::Gauge);
  for_readers([&](const auto& reader, const auto& labels) { families.add(labels, number(reader.sessions)); });
  families.family("pgkeel_read_only_eligible", "1 where the node may be read from through the read-only endpoint",
                  MetricType::Gauge);
  for_readers(
      [&](const auto& reader, const auto& labels) { families.add(labels, reader.standing == "eligible" ? 1 : 0); });
  families.family("pgkeel_read_only_lag_seconds", "How far the node was behind the primary when it was probed last",
                  MetricType::Gauge);
  for_readers([&](const auto& reader, const auto& labels) {
    if (reader.lag) families.add(labels, seconds(*reader.lag));
  });
  families.family("pgkeel_read_only_lag_bytes", "WAL of the primary that the node had not replayed then",
                  MetricType::Gauge);
  for_readers([&](const auto& reader, const auto& labels) {
    if (reader.lag_bytes) families.add(labels, number(*reader.lag_bytes));
  });
  families.family("pgkeel_read_only_client_errors_total",
                  "FATAL errors created by pgkeel at the read-only endpoint, by SQLSTATE", MetricType::Counter);
  for (const auto& cluster : clusters) {
    if (!cluster.read_only) continue;
    for (const auto& [sqlstate, count] : cluster.read_only->sessions.errors_by_sqlstate)
      families.add({{"cluster", cluster.name}, {"sqlstate", sqlstate}}, number(count));
  }
}

}  // namespace

std::string prometheus_text(const std::vector<ClusterStatus>& clusters, const ConfigurationStatus& configuration,
                            const std::vector<LoopStatus>& loops) {
  Families families;
  families.family("pgkeel_build_info", "The version of this pgkeel", MetricType::Gauge);
  families.add({{"version", std::string(pgkeel_version())}}, 1);
  add_configuration(families, configuration);
  add_clusters(families, clusters);
  add_changes(families, clusters);
  add_nodes(families, clusters);
  add_loops(families, loops);
  add_read_only(families, clusters);
  add_agreement(families, clusters);
  families.family(
      "pgkeel_certificate_end_timestamp_seconds",
      "When a certificate that pgkeel shows, or the last authority in a file that it believes, ends, as Unix time",
      MetricType::Gauge);
  for (const auto& cluster : clusters) {
    for (const auto& certificate : cluster.certificates)
      families.add({{"cluster", cluster.name}, {"certificate", certificate.name}},
                   seconds(certificate.not_after.time_since_epoch()));
  }
  for (const auto& certificate : configuration.certificates)
    families.add({{"certificate", certificate.name}}, seconds(certificate.not_after.time_since_epoch()));
  return families.text();
}

}  // namespace pgkeel
