// Parts of a configuration by their names; nullptr: there is none. They live as long as what they are found in. Pure.
#pragma once

#include <algorithm>
#include <string>

#include "config/config.h"

namespace pgkeel {

inline const ClusterConfig* find_cluster_config(const Config& config, const std::string& cluster) {
  const auto found = std::ranges::find(config.clusters, cluster, &ClusterConfig::name);
  return found == config.clusters.end() ? nullptr : &*found;
}

inline const NodeConfig* find_node_config(const ClusterConfig& cluster, const std::string& node) {
  const auto found = std::ranges::find(cluster.nodes, node, &NodeConfig::name);
  return found == cluster.nodes.end() ? nullptr : &*found;
}
// The same of a cluster that may itself not be there.
inline const NodeConfig* find_node_config(const ClusterConfig* cluster, const std::string& node) {
  return cluster == nullptr ? nullptr : find_node_config(*cluster, node);
}

}  // namespace pgkeel
