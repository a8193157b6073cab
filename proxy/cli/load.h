// Reads the configuration for a verb, and tells all that is wrong with it on stderr.
#pragma once

#include <optional>
#include <string>
#include <vector>

#include "config/config.h"
#include "config/problem.h"

namespace pgkeel {

std::optional<Config> load_or_tell(const std::string& path);
void tell_problems(const std::string& path, const std::vector<Problem>& problems);

// What is wrong with the name, and which there are; nothing where it is configured.
std::optional<std::string> complain_of_cluster(const Config& config, const std::string& name);
std::optional<std::string> complain_of_node(const ClusterConfig& cluster, const std::string& name);

}  // namespace pgkeel
