#include "proxy/cli/load.h"

#include <algorithm>
#include <iostream>
#include <string_view>
#include <unistd.h>
#include <vector>

#include <fmt/format.h>

#include "config/parse.h"

namespace pgkeel {

std::optional<Config> load_or_tell(const std::string& path) {
  auto config = load_config(path);
  if (config) return std::move(*config);
  tell_problems(path, config.error());
  return std::nullopt;
}

void tell_problems(const std::string& path, const std::vector<Problem>& problems) {
  std::cerr << format_problems(problems);
  if (::access(path.c_str(), R_OK) != 0)
    std::cerr << "pgkeel: say with --config FILE where the configuration is that pgkeel serve runs with, and be a user "
                 "who may read it\n";
}

std::optional<std::string> complain_of_cluster(const Config& config, const std::string& name) {
  std::vector<std::string_view> known;
  for (const ClusterConfig& cluster : config.clusters) {
    if (cluster.name == name) return std::nullopt;
    known.push_back(cluster.name);
  }
  return fmt::format("no cluster {} is configured; there {} {}", name, known.size() == 1 ? "is" : "are",
                     fmt::join(known, ", "));
}

std::optional<std::string> complain_of_node(const ClusterConfig& cluster, const std::string& name) {
  std::vector<std::string_view> known;
  for (const NodeConfig& node : cluster.nodes) {
    if (node.name == name) return std::nullopt;
    known.push_back(node.name);
  }
  return fmt::format("cluster {} has no node {}; it has {}", cluster.name, name, fmt::join(known, ", "));
}

}  // namespace pgkeel
