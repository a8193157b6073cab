#include "proxy/listener/access_change.h"

#include <utility>

#include "proxy/listener/listener.h"

namespace pgkeel {
namespace {

Error because(const std::string& cluster, const std::string& why) {
  return Error{"cluster \"" + cluster + "\": " + why};
}

}  // namespace

Result<std::vector<Access>> prepare_access(const ClusterConfig& config) {
  auto networks = AllowList::parse(config.allow);
  if (!networks) return because(config.name, "allow: " + networks.error().message);
  auto tls = load_cluster_tls(config);
  if (!tls) return because(config.name, tls.error().message);
  const auto settings = std::make_shared<const AccessSettings>(config, std::move(*networks));
  std::vector<Access> endpoints;
  endpoints.push_back({config.name, Endpoint::kWrite, config.listen, settings, *tls, {}});
  if (config.has_read_only_endpoint())
    endpoints.push_back({config.name, Endpoint::kReadOnly, config.listen_read_only, settings, *tls, {}});
  return endpoints;
}

std::string socket_name(const std::string& endpoint) {
  return "cluster-" + endpoint;
}

Result<void> bind_access(Access& access, std::vector<NamedSocket>& inherited, Duration patience) {
  const std::string endpoint = endpoint_name(access.cluster, access.endpoint);
  auto bound = Listener::bind_all(access.listen, socket_name(endpoint), inherited, patience);
  if (!bound) return because(access.cluster, bound.error().message);
  access.bound = std::move(*bound);
  return {};
}

}  // namespace pgkeel
