// ClusterStatus as the JSON of the admin endpoint and of `pgkeel status --json`. Pure.
#pragma once

#include <string>
#include <vector>

#include "proxy/admin/cluster_status.h"
#include "proxy/admin/configuration_status.h"
#include "proxy/base/result.h"

namespace pgkeel {

std::string cluster_json(const ClusterStatus& cluster);
// {"clusters": […], "configuration": {…}}
std::string clusters_json(const std::vector<ClusterStatus>& clusters, const ConfigurationStatus& configuration);

std::string restart_json(const Result<void>& begun);
std::string process_json(const ProcessStatus& process);

}  // namespace pgkeel
