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
  cluster.nodes = {node};
  std::cout << prometheus_text({cluster});
}
