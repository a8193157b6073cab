#include "proxy/listener/access_change.h"

#include <utility>

#include "proxy/listener/listener.h"

namespace pgkeel {

std::string socket_name(const std::string& cluster) {
  return "cluster-" + cluster;
}

Result<AccessChange::Cluster> prepare_access(const ClusterConfig& config, bool listen_anew,
                                             std::vector<NamedSocket>& inherited) {
  const auto because = [&](const std::string& why) { return Error{"cluster \"" + config.name + "\": " + why}; };
  auto networks = AllowList::parse(config.allow);
  if (!networks) return because("allow: " + networks.error().message);
  auto tls = load_cluster_tls(config);
  if (!tls) return because(tls.error().message);
  AccessChange::Cluster cluster;
  cluster.config = config;
  cluster.settings = std::make_shared<const AccessSettings>(config, std::move(*networks));
  cluster.tls = std::move(*tls);
  if (!listen_anew) return cluster;
  auto bound = Listener::bind_all(config.listen, socket_name(config.name), inherited);
  if (!bound) return because(bound.error().message);
  cluster.bound = std::move(*bound);
  return cluster;
}

}  // namespace pgkeel
