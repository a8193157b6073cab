// What /metrics answers: ClusterStatus and ConfigurationStatus in Prometheus' text format. Names follow Prometheus'
// conventions. Pure.
#pragma once

#include <string>
#include <vector>

#include "proxy/admin/cluster_status.h"
#include "proxy/admin/configuration_status.h"

namespace pgkeel {

std::string prometheus_text(const std::vector<ClusterStatus>& clusters, const ConfigurationStatus& configuration,
                            const std::vector<LoopStatus>& loops = {});

}  // namespace pgkeel
