#include "proxy/admin/status_json.h"

#include <nlohmann/json.hpp>

#include "proxy/admin/answer_text.h"
#include "proxy/admin/order_json.h"
#include "proxy/admin/readiness_json.h"

namespace pgkeel {
namespace {

using Json = nlohmann::ordered_json;

Json time_or_null(const std::optional<WallTime>& time) {
  return time ? Json(format_wall_time(*time)) : Json(nullptr);
}

double milliseconds(Duration duration) {
  return std::chrono::duration<double, std::milli>(duration).count();
}

Json milliseconds_or_null(const std::optional<Duration>& duration) {
  return duration ? Json(milliseconds(*duration)) : Json(nullptr);
}

Json replication_to_json(const std::optional<ReplicationLag>& lag) {
  if (!lag) return nullptr;
  return {{"write_lag_bytes", lag->write_bytes},   {"write_lag_ms", milliseconds_or_null(lag->write)},
          {"flush_lag_bytes", lag->flush_bytes},   {"flush_lag_ms", milliseconds_or_null(lag->flush)},
          {"replay_lag_bytes", lag->replay_bytes}, {"replay_lag_ms", milliseconds_or_null(lag->replay)}};
}

Json host_to_json(const std::optional<HostFacts>& host) {
  if (!host) return nullptr;
  Json disks = Json::array();
  for (const auto& disk : host->disks) {
    disks.push_back({{"holds", disk.holds},
                     {"path", disk.path},
                     {"free_bytes", disk.free_bytes},
                     {"total_bytes", disk.total_bytes}});
  }
  return {{"disks", disks},
          {"memory_available_bytes", host->memory_available_bytes},
          {"memory_total_bytes", host->memory_total_bytes},
          {"data_directory_is_empty", host->data_directory_is_empty},
          {"postgres_version", host->postgres_version},
          {"missing_programs", host->missing_programs}};
}

Json node_to_json(const NodeStatus& node) {
  Json json = {
      {"name", node.name},
      {"address", format_host_port(node.address)},
      {"local", node.local},
      {"role", node.role.empty() ? Json(nullptr) : Json(node.role)},
      {"liveness", node.liveness},
      {"evidence", node.evidence},
      {"note", node.note},
      {"server_version_number", node.server_version_number},
      {"timeline", node.timeline},
      {"wal_position", node.wal_position.valid() ? Json(format_lsn(node.wal_position)) : Json(nullptr)},
      {"lag_bytes", node.lag_bytes ? Json(*node.lag_bytes) : Json(nullptr)},
      {"streaming", node.streaming},
      {"replication", replication_to_json(node.replication)},
      {"uptime_ms", to_milliseconds(node.uptime)},
      {"last_answer_ms_ago", milliseconds_or_null(node.last_answer_ago)},
      {"safe", node.safe},
      {"probes", node.probes},
      {"failed_probes", node.failed_probes},
      {"last_probe_ms", milliseconds(node.last_probe_duration)},
      {"agent_certificate_ends", time_or_null(node.agent_certificate_ends)},
      {"own_certificate_ends", time_or_null(node.own_certificate_ends)},
      {"host", host_to_json(node.host)},
  };
  return json;
}

Json collision_to_json(const std::optional<Collision>& collision) {
  if (!collision) return nullptr;
  Json sides = Json::array();
  for (const auto& side : collision->sides) {
    sides.push_back(
        {{"node", side.node}, {"timeline", side.timeline}, {"wal_position", format_lsn(side.wal_position)}});
  }
  const auto& fork = collision->fork;
  return {{"sides", sides},
          {"fork_timeline", fork ? Json(fork->timeline) : Json(nullptr)},
          {"fork_lsn", fork ? Json(format_lsn(fork->end)) : Json(nullptr)}};
}

Json sessions_to_json(const ClusterSessionStats& sessions) {
  return {{"accepted", sessions.accepted},
          {"open", sessions.open},
          {"client_handshakes", sessions.client_handshakes},
          {"client_handshakes_failed", sessions.client_handshakes_failed},
          {"held", sessions.held},
          {"drain_awaits", sessions.drain_awaits},
          {"established", sessions.established},
          {"idle", sessions.by_state.idle},
          {"in_transaction", sessions.by_state.in_transaction},
          {"busy", sessions.by_state.busy},
          {"in_commit", sessions.by_state.in_commit},
          {"logins", sessions.logins},
          {"taken_over", sessions.taken_over},
          {"cancels_forwarded", sessions.cancels_forwarded},
          {"cancels_held_back", sessions.cancels_held_back},
          {"commit_waits_interrupted", sessions.commit_waits_interrupted},
          {"bytes_from_clients", sessions.bytes_from_clients},
          {"bytes_from_servers", sessions.bytes_from_servers},
          {"closed_without_error_at_unclean_boundary", sessions.closed_without_error_at_unclean_boundary},
          {"errors_by_sqlstate", sessions.errors_by_sqlstate}};
}

Json read_only_to_json(const std::optional<ReadOnlyStatus>& read_only) {
  if (!read_only) return nullptr;
  Json nodes = Json::array();
  for (const auto& reader : read_only->nodes) {
    nodes.push_back({{"name", reader.node},
                     {"standing", reader.standing},
                     {"is_primary", reader.is_primary},
                     {"takes_new", reader.takes_new},
                     {"why_not", reader.why_not},
                     {"lag_ms", milliseconds_or_null(reader.lag)},
                     {"lag_bytes", reader.lag_bytes ? Json(*reader.lag_bytes) : Json(nullptr)},
                     {"sessions", reader.sessions}});
  }
  return {{"access_point", format_host_port(read_only->access_point)},
          {"nodes", nodes},
          {"sessions", sessions_to_json(read_only->sessions)}};
}

Json vip_to_json(const std::optional<VipStatus>& vip) {
  if (!vip) return nullptr;
  return {{"address", vip->address},
          {"interface", vip->interface},
          {"is_held", vip->is_held},
          {"holder", vip->holder.empty() ? Json(nullptr) : Json(vip->holder)}};
}

Json agreement_to_json(const std::optional<AgreementStatus>& agreement) {
  if (!agreement) return nullptr;
  Json members = Json::array();
  for (const auto& member : agreement->members) {
    members.push_back({{"name", member.name},
                       {"address", member.address.empty() ? Json(nullptr) : Json(member.address)},
                       {"version", member.version.empty() ? Json(nullptr) : Json(member.version)},
                       {"is_self", member.is_self},
                       {"leads", member.leads},
                       {"has_lease", member.has_lease},
                       {"follows_route", member.follows_route},
                       {"differs_in", member.differs_in},
                       {"cannot_decide", member.cannot_decide.empty() ? Json(nullptr) : Json(member.cannot_decide)}});
  }
  return {{"leader", agreement->leader.empty() ? Json(nullptr) : Json(agreement->leader)},
          {"term", agreement->term},
          {"leads", agreement->leads},
          {"routes", agreement->routes},
          {"may_route_for_ms", to_milliseconds(agreement->may_route_for)},
          {"lease_for_ms", to_milliseconds(agreement->lease_for)},
          {"etcd_heard_ms_ago", milliseconds_or_null(agreement->etcd_heard_ago)},
          {"etcd_problem", agreement->etcd_problem.empty() ? Json(nullptr) : Json(agreement->etcd_problem)},
          {"promises_wanted", agreement->promises_wanted},
          {"promises_held", agreement->promises_held},
          {"vip", vip_to_json(agreement->vip)},
          {"members", members}};
}

Json certificates_to_json(const std::vector<CertificateStatus>& certificates) {
  Json list = Json::array();
  for (const auto& certificate : certificates) {
    list.push_back({{"name", certificate.name},
                    {"file", certificate.file},
                    {"not_after", format_wall_time(certificate.not_after)}});
  }
  return list;
}

Json to_json(const ClusterStatus& cluster) {
  Json nodes = Json::array();
  for (const auto& node : cluster.nodes) nodes.push_back(node_to_json(node));
  Json actions = Json::array();
  for (const auto& action : cluster.actions) {
    actions.push_back({{"action", action.action},
                       {"state", action.running     ? "running"
                                 : action.succeeded ? "done"
                                                    : "failed"},
                       {"message", action.message}});
  }
  Json readiness(nullptr);
  if (cluster.readiness) {
    readiness = readiness_to_json(cluster.readiness->readiness);
    readiness["looked_at"] = format_wall_time(cluster.readiness->looked_at);
  }
  Json orders = Json::array();
  for (const auto& order : cluster.orders) orders.push_back(Json::parse(order_json(order)));
  Json maintenance = Json::array();
  for (const auto& each : cluster.maintenance) {
    maintenance.push_back({{"node", each.node.empty() ? Json(nullptr) : Json(each.node)},
                           {"since", format_wall_time(each.since)},
                           {"given_by", each.given_by}});
  }
  Json lost = Json::array();
  for (const auto& report : cluster.lost_reports) {
    lost.push_back({{"report", report.report},
                    {"node", report.node},
                    {"transactions", report.transactions},
                    {"wal_bytes", report.wal_bytes}});
  }
  Json left = Json::array();
  for (const auto& slot : cluster.left_slots) {
    left.push_back(
        {{"slot", slot.slot}, {"database", slot.database}, {"old_primary", slot.old_primary}, {"text", slot.text}});
  }
  return {
      {"name", cluster.name},
      {"access_point", format_host_port(cluster.access_point)},
      {"condition", cluster.condition},
      {"summary", cluster.summary},
      {"phase", cluster.phase},
      {"epoch", cluster.epoch},
      {"route", cluster.route.empty() ? Json(nullptr) : Json(cluster.route)},
      {"durability", cluster.durability},
      {"safe_standbys_needed", cluster.safe_standbys_needed},
      {"state_error", cluster.state_error.empty() ? Json(nullptr) : Json(cluster.state_error)},
      {"failovers", cluster.failovers},
      {"last_failover_ms", to_milliseconds(cluster.last_failover)},
      {"switchovers", cluster.switchovers},
      {"last_switchover_ms", to_milliseconds(cluster.last_switchover)},
      {"nodes", nodes},
      {"actions", actions},
      {"readiness", readiness},
      {"collision", collision_to_json(cluster.collision)},
      {"maintenance", maintenance},
      {"orders", orders},
      {"lost", lost},
      {"certificates", certificates_to_json(cluster.certificates)},
      {"left_slots", left},
      {"draining_sessions", cluster.draining_sessions},
      {"sessions", sessions_to_json(cluster.sessions)},
      {"read_only", read_only_to_json(cluster.read_only)},
      {"coordination", agreement_to_json(cluster.agreement)},
  };
}

}  // namespace

std::string cluster_json(const ClusterStatus& cluster) {
  return answer_text(to_json(cluster));
}

std::string clusters_json(const std::vector<ClusterStatus>& clusters, const ConfigurationStatus& configuration) {
  Json list = Json::array();
  for (const auto& cluster : clusters) list.push_back(to_json(cluster));
  return answer_text({{"clusters", list},
                      {"configuration",
                       {{"file", configuration.file},
                        {"read_at", format_wall_time(configuration.read_at)},
                        {"reloads_succeeded", configuration.reloads_succeeded},
                        {"reloads_refused", configuration.reloads_refused},
                        {"problems", configuration.problems},
                        {"waiting_for_restart", configuration.waiting},
                        {"certificates", certificates_to_json(configuration.certificates)}}}});
}

std::string restart_json(const Result<void>& begun) {
  if (begun) return answer_text({{"accepted", true}, {"watch", "/api/v1/process"}});
  return answer_text({{"accepted", false}, {"reason", begun.error().message}});
}

std::string process_json(const ProcessStatus& process) {
  Json former = Json::array();
  for (const auto& each : process.former) former.push_back({{"pid", each.pid}, {"sessions", each.sessions}});
  return answer_text({{"pid", process.pid},
                      {"version", process.version},
                      {"handover_is_under_way", process.handover_is_under_way},
                      {"handovers_failed", process.handovers_failed},
                      {"last_handover_failure", process.last_handover_failure},
                      {"former_processes", std::move(former)}});
}

}  // namespace pgkeel
