// ClusterStatus as the JSON of the admin endpoint and of `pgkeel status --json`. Pure.
#pragma once

#include <string>
#include <vector>

#include "proxy/admin/cluster_status.h"
#include "proxy/base/result.h"

namespace pgkeel {

std::string cluster_json(const ClusterStatus& cluster);
std::string clusters_json(const std::vector<ClusterStatus>& clusters);  // {"clusters": […]}

std::string restart_json(const Result<void>& begun);
std::string process_json(const ProcessStatus& process);

}  // namespace pgkeel
