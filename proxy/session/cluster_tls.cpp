#include "proxy/session/cluster_tls.h"

#include <utility>

namespace pgkeel {

Result<ClusterTls> load_cluster_tls(const ClusterConfig& config) {
  ClusterTls tls;
  if (config.client_tls.mode != ClientTlsMode::kOff) {
    auto clients = TlsContext::accepting(config.client_tls.cert, config.client_tls.key, config.client_tls.client_ca);
    if (!clients) return Error{"client_tls: " + clients.error().message};
    tls.clients = std::move(*clients);
  }
  if (config.server_tls.mode != ServerTlsMode::kDisable) {
    auto servers = TlsContext::connecting(config.server_tls.ca, config.server_tls.mode == ServerTlsMode::kVerifyFull
                                                                    ? TlsContext::HostName::kMustMatch
                                                                    : TlsContext::HostName::kAny);
    if (!servers) return Error{"server_tls: " + servers.error().message};
    tls.servers = std::move(*servers);
  }
  return tls;
}

}  // namespace pgkeel
