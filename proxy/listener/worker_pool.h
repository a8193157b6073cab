// The data path as the control thread sees it: worker threads, each with its own loop, that accept clients of the
// access points and relay them to the node that the route names. Endpoints go by their names (routing/endpoint.h).
//
// All members are called by the control thread, except stats(), loop_lags() and last_bytes_from(), which any thread may
// call while the control thread does not reload. Callbacks come on the control thread.
#pragma once

#include <cstdint>
#include <functional>
#include <map>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "config/config.h"
#include "proxy/base/result.h"
#include "proxy/base/time.h"
#include "proxy/cancel/cancel_registry.h"
#include "proxy/io/socket.h"
#include "proxy/listener/listener.h"
#include "proxy/routing/endpoint.h"
#include "proxy/routing/route.h"
#include "proxy/session/cancel_question.h"
#include "proxy/session/cluster_tls.h"
#include "proxy/session/link_evidence.h"
#include "proxy/session/moved_session.h"
#include "proxy/session/session_stats.h"
#include "proxy/session/verifier_question.h"

namespace pgkeel {

class Loop;
struct AccessChange;

class WorkerPool {
 public:
  using EvidenceSink = std::function<void(const LinkEvidence&)>;

  // `descriptor_limit`: how many descriptors this process may have (RLIMIT_NOFILE). `cancel_judge` is asked for
  // clusters whose commits wait for standbys, `verifier_source` where SCRAM is joined; both may answer as long as this
  // object lives.
  WorkerPool(Loop& control_loop, const ProxyConfig& proxy, const std::vector<ClusterConfig>& clusters,
             std::uint64_t descriptor_limit, EvidenceSink on_evidence, CancelJudge cancel_judge,
             VerifierSource verifier_source);
  ~WorkerPool();  // stop() must have finished, or start() never called

  // Reads the TLS files, binds every access point and starts the threads. On an error nothing is left running. Of the
  // `inherited` sockets those are taken that are bound where an access point shall be. Whoever connects waits in the
  // kernel's queue until go_on_accepting(). For ports that are in use it waits as long as `port_patience`, each.
  Result<void> start(std::vector<NamedSocket>& inherited, Duration port_patience = Duration::zero());
  void go_on_accepting();

  // ---- another process takes over, see proxy/handover ----
  // More of each socket that clients connect to, as bind_all() looks for them.
  [[nodiscard]] std::vector<NamedSocket> listening_sockets() const;
  // No worker accepts any more; then every connection that can go at once is taken out of the workers.
  using Moved = std::vector<std::pair<std::string, MovedSession>>;  // with the name of its endpoint
  void move_out(std::function<void(Moved)> moved);
  // The others follow as soon as they can (`goes`), and end where they cannot, behind a transaction. `stays`: the key
  // of one whose login has ended here; first of all that are there.
  using Goes = std::function<void(const std::string& endpoint, MovedSession)>;
  using Stays = std::function<void(const std::string& endpoint, const CancelKey&, const CancelRegistry::Owner&)>;
  void leave(Goes goes, Stays stays);
  void stay();            // no more of that: the other process is gone
  void drop_listeners();  // for good: the other process has them
  // A session goes on here. After the first route of the endpoint was published.
  void take_over(const std::string& endpoint, MovedSession moved);
  // Cancel requests for a session of another process that serves the same endpoint find its server.
  void add_cancel_key(const std::string& endpoint, const CancelKey& key, const CancelRegistry::Owner& owner);
  void forget_added_keys();
  [[nodiscard]] bool has_endpoint(const std::string& endpoint) const;
  // Clients of each endpoint, in whatever state.
  [[nodiscard]] std::map<std::string, std::uint64_t> open_sessions() const;

  // ---- several pgkeels serve the same clusters, see replication/peers ----
  // Told of each cancel request of an allowed client whose key is that of no session here. Before go_on_accepting().
  using StrangeCancel = std::function<void(const std::string& cluster, const CancelKey& key)>;
  void on_strange_cancel(StrangeCancel tell);
  // A cancel request that reached another pgkeel, treated as one of a client here. False: its session is not here.
  [[nodiscard]] bool forward_cancel(const std::string& cluster, const CancelKey& key);
  // Those whose clients connected to this address of the host end, with 57P01 and the cause.
  void end_clients_of(const IpAddress& address, const std::string& cause);
  // Nobody is let in any more, in whatever state the route is; logins that have begun go on.
  void close_doors(AtTheDoor newcomers);
  // Those who begin to connect to this address of the host are not answered, and try again later; nothing: everybody is
  // heard.
  void turn_deaf_to(const std::optional<IpAddress>& address);
  [[nodiscard]] std::uint64_t logins_under_way() const;
  [[nodiscard]] std::uint64_t silent_clients() const;  // of these, those that have said nothing yet
  [[nodiscard]] std::uint64_t established_sessions() const;
  // Before stop(), with the doors closed: sessions without an open transaction end with 57P01 and the cause, the others
  // right behind theirs.
  void end_behind_transactions(const std::string& cause);
  // Every worker has done what was asked of it before this.
  void follow_up(std::function<void()> done);

  // Makes `route` the route of the endpoint. Sessions of an older epoch, or of a route that is now nowhere, end with
  // 57P01 and their links to the server are reset, so that nothing queued in the kernel reaches it. `applied` comes
  // when every worker has done so: from then on no byte of a client reaches any node but the new target. Held clients
  // go on when the route has a target, at ProxyConfig::login_rate where the epoch is newer than the one they began to
  // wait under.
  // `drained`: of a route that drains, comes when no session of any worker is in a transaction.
  // The route of a read-only endpoint names the nodes that sessions may be at: those that are elsewhere, or began in
  // another epoch, end with 57P01.
  void publish_route(const std::string& endpoint, Route route, std::function<void()> applied,
                     std::function<void()> drained);

  // No byte of a client of the cluster is written to a server at this time of since_boot() or later. Without a call
  // there is no such time.
  void set_write_deadline(const std::string& cluster, Instant until);

  // For connections that begin from now on; those that are there keep what they began with.
  void replace_tls(const std::string& cluster, const ClusterTls& tls);

  // What a reload needs of the data path, got before anything is changed: TLS files are read, new addresses bound. An
  // error: nothing has changed, and nothing will.
  Result<std::shared_ptr<AccessChange>> prepare_reload(const ProxyConfig& proxy,
                                                       const std::vector<ClusterConfig>& clusters);
  // Takes it over in every worker before it returns. Sessions stay, but for those of a cluster that is gone: they end
  // with 57P01. A cluster that is new leads nowhere yet. The number of workers stays what it is.
  void reload(AccessChange& change);

  // SIGTERM: no more clients (with `keep_listening` they are not refused, but wait for the next process, which has the
  // sockets too); sessions end with 57P01 "terminating connection: pgkeel is shutting down". `stopped`
  // comes when all are closed or `limit` is over.
  void stop(Duration limit, std::function<void()> stopped, bool keep_listening = false);

  // The port of the endpoint, also where the configuration says 0. After start().
  [[nodiscard]] std::uint16_t bound_port(const std::string& endpoint) const;

  // The last time when bytes arrived from this server on any client link: it lives. Instant{} if never. Precise to the
  // worker's loop iteration.
  [[nodiscard]] Instant last_bytes_from(const std::string& cluster, const std::string& node) const;

  // Sums over the workers, per write endpoint; those of the start in the order of their configuration.
  [[nodiscard]] std::vector<ClusterSessionStats> stats() const;

  // Has every worker look through its sessions, so that stats() knows in which state they are: no message on its way
  // pays for that. Where it was done within a second they are as they were.
  void count_states(std::function<void()> done);

  // Likewise of the read-only endpoint of a cluster that has one.
  [[nodiscard]] ReadOnlySessionStats read_only_stats(const std::string& cluster) const;

  // How late each worker's loop was at worst of late (loop_lag.h).
  [[nodiscard]] std::vector<Duration> loop_lags() const;

 private:
  struct Inner;
  std::unique_ptr<Inner> inner_;
};

}  // namespace pgkeel
