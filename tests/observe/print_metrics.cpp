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
  ConfigurationStatus configuration;
  configuration.problems = {"pgkeel.toml:1:1: unknown key"};
  std::cout << prometheus_text({cluster}, configuration, {{"control", 1ms}});
}
