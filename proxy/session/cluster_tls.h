// TLS of one cluster's access point on both of its sides, as the configuration has it. Plain data, immutable: any
// thread. What is replaced when files change is the whole; connections keep the one that they began with.
#pragma once

#include <memory>

#include "config/config.h"
#include "proxy/base/result.h"
#include "proxy/io/tls_context.h"

namespace pgkeel {

struct ClusterTls {
  std::shared_ptr<const TlsContext> clients;  // null: `client_tls` is off
  std::shared_ptr<const TlsContext> servers;  // null: `server_tls` is disable
};

// Reads the files.
Result<ClusterTls> load_cluster_tls(const ClusterConfig& config);

}  // namespace pgkeel
