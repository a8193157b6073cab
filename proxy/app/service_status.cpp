// The part of ClusterService that says how the cluster is.
#include <algorithm>
#include <utility>

#include "proxy/app/cluster_service.h"
#include "proxy/app/ordered_rest.h"
#include "proxy/app/record_parts.h"
#include "proxy/app/replication_lag.h"
#include "proxy/io/clock.h"

namespace pgkeel {

NodeStatus ClusterService::status_of(const NodeConfig& node, Instant now) const {
  const auto health = monitor_.health(node.name, now);
  NodeStatus status;
  status.name = node.name;
  status.address = node.address;
  status.local = node.local.has_value();
  status.safe = controller_.memory().promise.contains(node.name);
  status.liveness = liveness_name(health.suspicion.liveness);
  status.evidence = health.suspicion.evidence;
  status.probes = health.probes;
  status.failed_probes = health.failed_probes;
  status.last_probe_duration = health.last_probe_duration;
  if (const auto agent = agents_.find(node.name); agent != agents_.end()) {
    const auto ends = agent->second->certificates_end();
    status.agent_certificate_ends = ends.agent;
    status.own_certificate_ends = ends.ours;
  }
  if (const HostFacts* host = host_watch_.host(node.name)) status.host = *host;
  const auto note = controller_.last_decision().notes.find(node.name);
  if (note != controller_.last_decision().notes.end()) status.note = note->second;
  if (login_watch_.concerns(node.name)) status.note = login_watch_.note();
  if (health.last_answered) status.last_answer_ago = now - health.last_answered->finished_at;
  const Liveness liveness = health.suspicion.liveness;
  const bool answers = liveness == Liveness::kAlive || liveness == Liveness::kLate;
  if (answers && health.last_answered && health.last_answered->facts) {
    const NodeFacts& facts = *health.last_answered->facts;
    status.role = facts.in_recovery ? "standby" : "primary";
    status.server_version_number = facts.server_version_number;
    status.timeline = facts.timeline;
    status.wal_position = facts.wal_position;
    status.streaming = facts.wal_receiver_streaming;
    status.uptime = facts.uptime;
  }
  return status;
}

ClusterStatus ClusterService::status() const {
  const Instant now = monotonic_now();
  const Decision& decision = controller_.last_decision();
  ClusterStatus status;
  status.name = config_.name;
  status.access_point = {config_.listen.host, workers_.bound_port(config_.name)};
  status.condition = condition_name(decision.condition);
  status.summary = decision.summary;
  if (decision.condition == Condition::kNormal && !login_watch_.note().empty()) {
    status.condition = condition_name(Condition::kDegraded);
    status.summary = controller_.memory().primary + " " + login_watch_.note();
  }
  status.phase = phase_name(controller_.memory().phase);
  status.epoch = controller_.memory().epoch;
  status.route = controller_.published_route().node;
  status.durability = durability_name(config_.durability);
  status.safe_standbys_needed = controller_.memory().promise.acks;
  status.state_error = controller_.state_error();
  tally_.add_to(status);
  status.failovers = counts_.failovers();
  status.last_failover = counts_.last_failover();
  status.switchovers = counts_.switchovers();
  status.last_switchover = counts_.last_switchover();
  for (const auto& node : config_.nodes) status.nodes.push_back(status_of(node, now));
  const auto primary = std::ranges::find(status.nodes, controller_.memory().primary, &NodeStatus::name);
  for (auto& node : status.nodes) {
    if (node.role != "standby" || primary == status.nodes.end() || primary->role != "primary") continue;
    node.replication = replication_lag(*monitor_.health(primary->name, now).last_answered->facts, node.name);
    node.lag_bytes =
        primary->wal_position > node.wal_position ? primary->wal_position.value - node.wal_position.value : 0;
  }
  for (const auto& action : controller_.actions()) {
    if (action.action.kind == ActionKind::kProbe) continue;
    const bool failed = !action.running && !action.succeeded;
    if (failed && decision.condition == Condition::kNormal) continue;  // its aim was reached otherwise
    const bool tells_progress = action.running && action.action.kind == ActionKind::kRejoin;
    status.actions.push_back({std::string(action_name(action.action.kind)) + " " + action.action.node, action.running,
                              action.succeeded,
                              tells_progress ? progress_.latest(action.action.node) : action.message});
  }
  status.readiness = readiness_.report();
  certificates_.add_findings(status.readiness);
  authorities_.add_findings(status.readiness);
  if (status.readiness) add_ordered_rest(controller_.memory(), config_.nodes, status.readiness->readiness);
  status.certificates = certificates_.certificates();
  const auto& authorities = authorities_.certificates();
  status.certificates.insert(status.certificates.end(), authorities.begin(), authorities.end());
  status.collision = decision.collision;
  status.orders = controller_.memory().orders;
  status.left_slots = left_slots_of(controller_.memory());
  status.maintenance = maintenance_of(controller_.memory());
  keeper_.add_to(status);
  status.sessions = session_stats();
  if (agreed_) add_agreement(status);
  if (read_only_) {
    status.read_only = read_only_status(*read_only_, workers_.read_only_stats(config_.name));
    status.read_only->access_point = {config_.listen_read_only.host, workers_.bound_port(read_only_name())};
  }
  return status;
}

}  // namespace pgkeel
