#include "proxy/app/ordered_rest.h"

#include <algorithm>
#include <string>
#include <utility>

namespace pgkeel {
namespace {

Finding hindrance(std::string rule, std::string node, Prevents prevents, std::string problem, std::string remedy) {
  return {.rule = std::move(rule),
          .node = std::move(node),
          .severity = FindingSeverity::kError,
          .prevents = prevents,
          .problem = std::move(problem),
          .remedy = std::move(remedy)};
}

bool can_replace_the_primary(const ClusterMemory& memory, const NodeConfig& node, const Readiness& readiness) {
  if (node.name == memory.primary || node.priority == 0 || memory.nodes_maintained.contains(node.name)) return false;
  return std::ranges::none_of(readiness.findings, [&](const Finding& finding) {
    const bool hinders = finding.prevents == Prevents::kFailover || finding.prevents == Prevents::kBoth;
    return finding.node == node.name && hinders && finding.severity == FindingSeverity::kError;
  });
}

}  // namespace

void add_ordered_rest(const ClusterMemory& memory, const std::vector<NodeConfig>& nodes, Readiness& readiness) {
  const auto add = [&](Finding finding) { readiness.findings.insert(readiness.findings.begin(), std::move(finding)); };
  for (const auto& [node, maintenance] : memory.nodes_maintained) {
    add(hindrance("maintenance", node, Prevents::kFailover,
                  "under maintenance since " + format_wall_time(maintenance.since) + ": it is not promoted",
                  "`pgkeel maintenance off CLUSTER " + node + "`"));
  }
  if (!memory.nodes_maintained.empty() && std::ranges::none_of(nodes, [&](const NodeConfig& node) {
        return can_replace_the_primary(memory, node, readiness);
      })) {
    readiness.failover_would_work = false;
  }
  if (memory.maintenance) {
    add(hindrance("maintenance", "", Prevents::kFailover,
                  "the cluster is under maintenance since " + format_wall_time(memory.maintenance->since) +
                      ": nothing is failed over",
                  "`pgkeel maintenance off CLUSTER`"));
    readiness.failover_would_work = false;
  }
  const bool stopped = memory.phase == Phase::kStopped;
  if (!stopped && memory.phase != Phase::kTornDown) return;
  add(hindrance(stopped ? "stopped" : "torn_down", "", Prevents::kBoth,
                stopped ? "the cluster is stopped" : "the cluster is torn down",
                stopped ? "`pgkeel start CLUSTER`" : "take it out of the configuration"));
  readiness.failover_would_work = readiness.rejoin_would_work = false;
}

}  // namespace pgkeel
