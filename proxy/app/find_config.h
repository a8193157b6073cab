// Parts of a configuration by their names; nullptr: there is none. They live as long as what they are found in.
#pragma once

#include <algorithm>
#include <string>

#include "config/config.h"

namespace pgkeel {

inline const ClusterConfig* find_config(const Config& config, const std::string& cluster) {
  const auto found = std::ranges::find(config.clusters, cluster, &ClusterConfig::name);
  return found == config.clusters.end() ? nullptr : &*found;
}

inline const NodeConfig* find_node(const ClusterConfig* cluster, const std::string& name) {
  if (cluster == nullptr) return nullptr;
  const auto found = std::ranges::find(cluster->nodes, name, &NodeConfig::name);
  return found == cluster->nodes.end() ? nullptr : &*found;
}

}  // namespace pgkeel
