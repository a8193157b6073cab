// The admin endpoint: HTTP on a thread pool of its own (design 3.4, openapi.json). It asks the control thread for what
// it shows, hands it what an operator orders, and says so when that thread does not answer in time. What changes
// something is a POST, needs the bearer token, and has a JSON body: no web page can make a browser send that.
#pragma once

#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "proxy/admin/admin_token.h"
#include "proxy/admin/cluster_status.h"
#include "proxy/admin/configuration_status.h"
#include "proxy/admin/lead_answer.h"
#include "proxy/admin/reload_answer.h"
#include "proxy/base/address.h"
#include "proxy/base/result.h"
#include "proxy/io/socket.h"
#include "proxy/io/tls_session.h"
#include "replication/model/operator_order.h"
#include "replication/state/decision_log.h"
#include "replication/state/event_log.h"

namespace pgkeel {

struct AdminSources {
  std::function<std::optional<std::vector<ClusterStatus>>()> clusters;    // any thread; nothing: no answer in time
  std::function<std::string(const std::vector<ClusterStatus>&)> metrics;  // in Prometheus' text format
  const EventLog* events = nullptr;
  const DecisionLog* decisions = nullptr;
  AdminTokens tokens;                      // empty: nothing can be changed
  std::shared_ptr<const TlsAcceptor> tls;  // none: plain HTTP
  std::vector<std::string> hosts = {};     // names of ours by which it may be asked in clear, see host_check.h
  // Any thread. `preview`: nothing is changed. Nothing: no answer in time, and the order is not carried out.
  std::function<std::optional<OrderAnswer>(const std::string& cluster, const OperatorOrder&, bool preview)> give_order;
  std::function<std::optional<ProcessStatus>()> process;  // any thread; nothing: no answer in time
  // Begins a restart in place. Any thread.
  std::function<std::optional<Result<void>>(const std::string& by)> restart;
  // Of several pgkeels: the leader hands over. Any thread; nothing: no answer in time, and nothing has changed.
  std::function<std::optional<LeadAnswer>(const LeadRequest& request, const std::string& by)> lead;
  std::function<void(const std::string& text)> audit;                                         // any thread
  std::function<ConfigurationStatus()> configuration = [] { return ConfigurationStatus{}; };  // any thread
  // Any thread; `by` goes into the event. Nothing: no answer in time, and nothing has changed.
  std::function<std::optional<ReloadAnswer>(const std::string& by, bool preview)> reload;
};

class AdminServer {
 public:
  // Serves at once. The socket listens; other processes may have it too.
  static std::unique_ptr<AdminServer> start(Socket listening, AdminSources sources);
  // Binds first. Port 0: any free one.
  static Result<std::unique_ptr<AdminServer>> start(const HostPort& listen, AdminSources sources);
  ~AdminServer();

  // For connections that come from now on; those that are there end with their next request. Any thread.
  void use(std::shared_ptr<const TlsAcceptor> tls);

  [[nodiscard]] std::uint16_t port() const;

  // "GET /api/v1/clusters/{cluster}": what is served, as openapi.json writes it.
  [[nodiscard]] const std::vector<std::string>& routes() const;

 private:
  struct Inner;
  explicit AdminServer(std::unique_ptr<Inner> inner);
  std::unique_ptr<Inner> inner_;
};

}  // namespace pgkeel
