#include "proxy/admin/balancer_answer.h"

#include <algorithm>

namespace pgkeel {
namespace {

bool replicates(const ClusterStatus& cluster, const NodeStatus& node) {
  return node.name != cluster.route && node.role == "standby" && node.streaming;
}

bool is_read_from(const ReaderStatus& reader) {
  return reader.takes_new && !reader.is_primary;
}

// Where there is a read-only endpoint: does it lead to a standby?
BalancerAnswer answer_reads(const std::string& cluster, const ReadOnlyStatus& read_only, const std::string& node) {
  std::string taking, why_not;
  for (const auto& reader : read_only.nodes) {
    if (!node.empty() && reader.node != node) continue;
    if (is_read_from(reader))
      taking += (taking.empty() ? "" : ", ") + reader.node;
    else
      why_not += "; " + reader.node + (reader.is_primary ? " is the primary" : ": " + reader.why_not);
  }
  if (!taking.empty()) return {200, cluster + ": the read-only endpoint leads to standby " + taking};
  return {503, cluster + ": the read-only endpoint leads to no standby" + (node.empty() ? "" : " " + node) + why_not};
}

BalancerAnswer answer_for(BalancerQuestion question, const ClusterStatus& cluster, const std::string& node) {
  const auto found = std::ranges::find(cluster.nodes, node, &NodeStatus::name);
  if (!node.empty() && found == cluster.nodes.end()) return {404, "cluster " + cluster.name + " has no node " + node};
  switch (question) {
    case BalancerQuestion::kPrimary:
      if (cluster.route.empty()) return {503, cluster.name + ": " + cluster.summary};
      if (node.empty() || node == cluster.route) return {200, cluster.name + ": the primary is " + cluster.route};
      return {503, cluster.name + ": " + node + " is not the primary, which is " + cluster.route};
    case BalancerQuestion::kReplica: {
      if (cluster.read_only) return answer_reads(cluster.name, *cluster.read_only, node);
      if (!node.empty()) {
        return replicates(cluster, *found)
                   ? BalancerAnswer{200, cluster.name + ": " + node + " is a standby"}
                   : BalancerAnswer{503, cluster.name + ": " + node + " is not: " + found->note};
      }
      const bool any = std::ranges::any_of(cluster.nodes, [&](const auto& each) { return replicates(cluster, each); });
      return any ? BalancerAnswer{200, cluster.name + ": a standby streams"}
                 : BalancerAnswer{503, cluster.name + ": no standby streams"};
    }
    case BalancerQuestion::kLeader:
      if (cluster.agreement && !cluster.agreement->leads) {
        const std::string& leader = cluster.agreement->leader;
        return {503, cluster.name + (leader.empty() ? ": no pgkeel decides now" : ": pgkeel " + leader + " decides")};
      }
      return {200, cluster.name + ": this pgkeel decides"};
  }
  return {};
}

}  // namespace

BalancerAnswer answer_balancer(BalancerQuestion question, const std::vector<ClusterStatus>& clusters,
                               const std::string& cluster, const std::string& node) {
  BalancerAnswer all{200, ""};
  bool any = false;
  for (const auto& each : clusters) {
    if (!cluster.empty() && each.name != cluster) continue;
    any = true;
    BalancerAnswer answer = answer_for(question, each, node);
    if (answer.status != 200) return answer;
    all.text += (all.text.empty() ? "" : "\n") + answer.text;
  }
  return any || cluster.empty() ? all : BalancerAnswer{404, "no such cluster"};
}

}  // namespace pgkeel
