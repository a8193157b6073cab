// What a reload changes of the data path, ready to be taken over. Made and used by WorkerPool, on the control thread.
#pragma once

#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "config/config.h"
#include "proxy/base/result.h"
#include "proxy/io/socket.h"
#include "proxy/listener/descriptor_plan.h"
#include "proxy/session/access_point.h"

namespace pgkeel {

struct AccessChange {
  struct Cluster {
    ClusterConfig config;
    std::shared_ptr<const AccessSettings> settings;
    ClusterTls tls;
    std::vector<Socket> bound;  // empty: it listens where it does
  };
  ProxyConfig proxy;
  DescriptorPlan plan;
  std::vector<Cluster> clusters;  // all that shall be there
};

// The name of a cluster's sockets, for the process that takes them over.
std::string socket_name(const std::string& cluster);

// Reads what the configuration names. `listen_anew`: its address is bound too, see Listener::bind_all().
Result<AccessChange::Cluster> prepare_access(const ClusterConfig& config, bool listen_anew,
                                             std::vector<NamedSocket>& inherited);

}  // namespace pgkeel
