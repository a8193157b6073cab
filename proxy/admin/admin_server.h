// The admin endpoint: HTTP on a thread pool of its own, read-only so far (design 3.4). It asks the control thread for
// what it shows, and says so when that thread does not answer in time.
#pragma once

#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "proxy/admin/cluster_status.h"
#include "proxy/base/address.h"
#include "proxy/base/result.h"
#include "replication/state/event_log.h"

namespace pgkeel {

struct AdminSources {
  std::function<std::optional<std::vector<ClusterStatus>>()> clusters;    // any thread; nothing: no answer in time
  std::function<std::string(const std::vector<ClusterStatus>&)> metrics;  // in Prometheus' text format
  const EventLog* events = nullptr;
};

class AdminServer {
 public:
  // Binds and serves at once. Port 0: any free one.
  static Result<std::unique_ptr<AdminServer>> start(const HostPort& listen, AdminSources sources);
  ~AdminServer();

  [[nodiscard]] std::uint16_t port() const;

 private:
  struct Inner;
  explicit AdminServer(std::unique_ptr<Inner> inner);
  std::unique_ptr<Inner> inner_;
};

}  // namespace pgkeel
