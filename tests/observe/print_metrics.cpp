// Prints the metrics of a cluster of which everything is known, for check.py.
#include <iostream>

#include "proxy/metrics/exporter.h"

using namespace pgkeel;
using namespace std::chrono_literals;

int main() {
  ClusterStatus cluster;
  cluster.name = "orders";
  cluster.condition = "collision";
  cluster.route = "a";
  cluster.readiness = ReadinessReport{};
  cluster.collision = Collision{};
  cluster.collision->sides = {{.node = "a", .timeline = 2, .wal_position = Lsn{2}}};
  cluster.collision->fork = TimelineFork{1, Lsn{1}};
  cluster.sessions.errors_by_sqlstate["57P01"] = 1;
  NodeStatus node;
  node.name = "b";
  node.role = "standby";
  node.lag_bytes = 1;
  node.replication = ReplicationLag{1, 2, 3, 1ms, 2ms, 3ms};
  node.last_answer_ago = 1ms;
  node.agent_certificate_ends = WallTime(1ms);
  cluster.certificates = {{"client_tls", "/etc/pgkeel/tls.crt", WallTime(1ms)}};
  cluster.nodes = {node};
  cluster.changes = {{"dead", "done", 1}};
  cluster.phases = {{"failover", "fenced", DurationHistogram{}}};
  cluster.phases[0].durations.add(20ms);
  cluster.sessions.waits.add(2s);
  auto& agreement = cluster.agreement.emplace();
  agreement.leader = "one";
  agreement.etcd_heard_ago = 100ms;
  agreement.vip = VipStatus{"10.0.0.100/24", "eth0", true, "one"};
  MemberStatus member;
  member.name = "one";
  agreement.members = {member};
  cluster.maintenance = {{"b", WallTime(1ms), "127.0.0.1:1"}};
  auto& host = cluster.nodes[0].host.emplace();
  host.disks = {{"data directory", "/var/lib/postgresql", 1, 2}};
  host.memory_total_bytes = 1;
  auto& reader = cluster.read_only.emplace();
  reader.sessions.errors_by_sqlstate["57P01"] = 1;
  auto& at_b = reader.nodes.emplace_back();
  at_b.node = "b";
  at_b.lag = 1ms;
  at_b.lag_bytes = 1;
  ConfigurationStatus configuration;
  configuration.problems = {"pgkeel.toml:1:1: unknown key"};
  std::cout << prometheus_text({cluster}, configuration, {{"control", 1ms}});
}
