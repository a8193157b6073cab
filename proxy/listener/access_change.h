// What a reload changes of the data path, ready to be taken over. Made and used by WorkerPool, on the control thread.
#pragma once

#include <memory>
#include <string>
#include <vector>

#include "config/config.h"
#include "proxy/base/result.h"
#include "proxy/io/socket.h"
#include "proxy/listener/descriptor_plan.h"
#include "proxy/session/access_point.h"

namespace pgkeel {

// One endpoint of a cluster, as it shall be.
struct Access {
  std::string cluster;
  Endpoint endpoint = Endpoint::kWrite;
  HostPort listen;
  std::shared_ptr<const AccessSettings> settings;
  ClusterTls tls;
  std::vector<Socket> bound;  // empty: it listens where it does
};

struct AccessChange {
  ProxyConfig proxy;
  DescriptorPlan plan;
  std::vector<Access> endpoints;  // all that shall be there
  std::vector<int> handed_on;     // descriptors of sockets of which other endpoints have copies in `bound`
  std::vector<PortShare> shares;  // until all is taken over, or nothing is
};

// The name of an endpoint's sockets, for the process that takes them over.
std::string socket_name(const std::string& endpoint);

// All endpoints of a cluster. Reads what the configuration names; binds nothing.
Result<std::vector<Access>> prepare_access(const ClusterConfig& config);
// See Listener::bind_all().
Result<void> bind_access(Access& access, std::vector<NamedSocket>& inherited, Duration patience);

}  // namespace pgkeel
