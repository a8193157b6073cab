// One worker's share of an endpoint of a cluster's client access point: its sessions, its clients that wait, the route
// as this worker knows it. Loop's thread only, except counters() and last_bytes_from().
#pragma once

#include <algorithm>
#include <atomic>
#include <cstddef>
#include <deque>
#include <functional>
#include <list>
#include <map>
#include <memory>
#include <span>
#include <string>
#include <utility>
#include <vector>

#include "config/config.h"
#include "proxy/cancel/cancel_forwarder.h"
#include "proxy/cancel/cancel_registry.h"
#include "proxy/io/accepted_client.h"
#include "proxy/io/boot_deadline.h"
#include "proxy/io/resolver.h"
#include "proxy/io/timer.h"
#include "proxy/routing/allow_list.h"
#include "proxy/routing/endpoint.h"
#include "proxy/routing/login_gate.h"
#include "proxy/routing/reader_choice.h"
#include "proxy/routing/route.h"
#include "proxy/session/cancel_question.h"
#include "proxy/session/cluster_tls.h"
#include "proxy/session/evidence_reporter.h"
#include "proxy/session/moved_session.h"
#include "proxy/session/newcomers.h"
#include "proxy/session/session_counters.h"
#include "proxy/session/unproven_logins.h"
#include "proxy/session/verifier_question.h"
#include "proxy/session/waiting_room.h"

namespace pgkeel {

class Loop;
class Session;

// What a cluster's configuration says of its access point. Immutable, and replaced as a whole: any thread.
struct AccessSettings {
  AccessSettings(const ClusterConfig& config, AllowList networks)
      : allow_list(std::move(networks)),
        client_tls_mode(config.client_tls.mode),
        failure_timeout(config.detection.failure_timeout),
        tells_client_addresses(config.tell_client_address),
        keeps_commit_waits(config.durability != Durability::kAsync) {
    for (const auto& node : config.nodes) nodes.push_back(node.name);
  }

  std::vector<std::string> nodes;
  AllowList allow_list;
  ClientTlsMode client_tls_mode;
  Duration failure_timeout;     // DetectionConfig's
  bool tells_client_addresses;  // in application_name
  // A commit that waits for a standby is not cancelled through the access point, and what a server says of one that was
  // cancelled otherwise is not taken for an acknowledgement.
  bool keeps_commit_waits;
};

// What the workers share of one endpoint of a cluster.
struct SharedCluster {
  SharedCluster(std::string cluster, Endpoint which, std::shared_ptr<const AccessSettings> newest_settings,
                ClusterTls newest_tls, std::uint32_t login_rate)
      : name(std::move(cluster)),
        endpoint(which),
        settings(std::move(newest_settings)),
        tls(std::move(newest_tls)),
        login_gate(login_rate) {}

  const std::string name;
  const Endpoint endpoint;
  // The newest, for an AccessPoint that is made; each has its own then.
  std::shared_ptr<const AccessSettings> settings;
  ClusterTls tls;
  LoginGate login_gate;
  CancelRegistry cancel_registry;
  // Until when bytes of clients may be written to servers. Of several pgkeels each has such a deadline, which moves
  // while it renews its lease.
  BootDeadline write_deadline;
  ReaderCounts readers;  // of the read-only endpoint
  // Told of cancel requests whose key is none of these, and who sent them; empty: nobody is. Any thread; set before the
  // first client.
  std::function<void(const CancelKey& key, const IpAddress& sender, Instant now)> on_strange_cancel;
};

// What the clusters of one worker share.
struct WorkerServices {
  Loop& loop;
  Resolver& resolver;
  std::span<std::byte> read_buffer;  // bytes are read into it, and have left it when the callback returns
  const ProxyConfig& limits;
  std::atomic<std::uint32_t>& clients;  // of all workers, against clients_max
  const std::uint32_t& clients_max;     // max_client_connections, or what there are descriptors for
  Newcomers& newcomers;
  UnprovenLogins& unproven;
  const CancelJudge& cancel_judge;        // answers on the loop's thread
  const VerifierSource& verifier_source;  // so does this

  // A server's results come in big reads, each of which wakes its client once. All else is read in small ones, because
  // a session may have to keep one.
  [[nodiscard]] std::span<std::byte> small_read_buffer() const {
    constexpr std::size_t kSmallReadBytes = 65536;
    return read_buffer.first(std::min(read_buffer.size(), kSmallReadBytes));
  }
};

class AccessPoint {
 public:
  AccessPoint(WorkerServices services, SharedCluster& shared, std::function<void(LinkEvidence)> on_evidence,
              std::function<void()> on_session_gone);
  ~AccessPoint();
  AccessPoint(const AccessPoint&) = delete;
  AccessPoint& operator=(const AccessPoint&) = delete;

  void accept(AcceptedClient client);

  // When it returns, no link of this worker leads to another server than the route's, and none will. Where the route
  // drains, `on_drained` is called once, when no session of it is in a transaction.
  void set_route(std::shared_ptr<const Route> route, std::function<void()> on_drained);

  // To be called every now and then: see Link.
  void review_acknowledge_limits();

  // Sessions that are there stay, also those of networks that are not allowed any more.
  void set_settings(std::shared_ptr<const AccessSettings> settings);

  // For connections that begin from now on.
  void set_tls(ClusterTls tls) { tls_ = std::move(tls); }

  // ---- another process takes over, or this one does ----
  // Those of the sessions that can go at once; the others stay, and go on.
  [[nodiscard]] std::vector<MovedSession> move_out();
  using Leaver = std::function<void(MovedSession)>;
  using KeyWitness = std::function<void(const CancelKey&, const CancelRegistry::Owner&)>;
  // From now on each of those that are left goes as soon as it can; `stays` is told of each whose login ends here.
  void leave(Leaver goes, KeyWitness stays);
  void stay();  // no more of that
  // A session goes on here, under the route of now: where that is another than the one it began under, its client is
  // told so.
  void take_over(AcceptedClient client, MovedSession moved);

  // Each session ends with an error that names the cause as soon as no transaction of it is open; the others, logins
  // among them, go on.
  void end_behind_transactions(const std::string& cause);
  // Every session ends with an error that names the cause; clients that still come are closed.
  void shut_down(const std::string& cause);
  // The same, and nothing is served at this address any more.
  void remove(const std::string& cause);
  // Likewise those whose clients connected to this address of the host.
  void end_clients_of(const IpAddress& address, const std::string& cause);
  // Clients may come again; the route leads nowhere.
  void reopen();
  // All at once, without a word.
  void close_all();

  // Looks through the sessions, and tells the counters.
  void count_states();

  // No session is left, in whatever state.
  [[nodiscard]] bool empty() const { return sessions_.empty(); }

  [[nodiscard]] const SessionCounters& counters() const { return counters_; }  // any thread
  [[nodiscard]] Instant last_bytes_from(const std::string& node) const;  // any thread, but not during set_settings()

  // ---- for Session ----
  [[nodiscard]] const Route& route() const { return *route_; }
  [[nodiscard]] SharedCluster& shared() { return shared_; }
  [[nodiscard]] const AccessSettings& settings() const { return *settings_; }
  [[nodiscard]] WorkerServices& services() { return services_; }
  [[nodiscard]] const ClusterTls& tls() const { return tls_; }
  [[nodiscard]] WaitingRoom& waiting_room() { return waiting_room_; }
  [[nodiscard]] SessionCounters& counters() { return counters_; }
  [[nodiscard]] std::size_t node_index(const std::string& node) const;
  // Where a session that begins now is led. Only where the route leads somewhere.
  [[nodiscard]] ReadTarget choose_server();
  // An attempt there has failed, and another one may be made elsewhere at once: the read-only endpoint has other nodes,
  // and this one is left out for a moment.
  [[nodiscard]] bool turn_elsewhere(std::size_t node_index);
  void heard_from(std::size_t node_index, Instant now);
  // Whether what the node stores of passwords could be read when it was asked for last.
  [[nodiscard]] bool verifiers_can_be_read(std::size_t node_index) const {
    return node_index < node_signs_.size() && node_signs_[node_index].verifiers_can_be_read;
  }
  void note_verifiers(std::size_t node_index, bool can_be_read) {
    if (node_index < node_signs_.size()) node_signs_[node_index].verifiers_can_be_read = can_be_read;
  }
  void report(LinkEvidence::Kind kind, const std::string& node, std::uint64_t epoch, std::string detail);
  void handshake_failed(const IpAddress& peer, const std::string& problem);
  void forward_cancel(AcceptedClient client, const CancelKey& key, std::string packet);
  void retire(Session& session);  // destroyed soon, outside all callbacks
  [[nodiscard]] bool is_gone() const { return gone_; }
  [[nodiscard]] bool is_left() const { return goes_ != nullptr || !ending_cause_.empty(); }
  // Not empty: of the end of every session that no transaction keeps.
  [[nodiscard]] const std::string& ending_cause() const { return ending_cause_; }
  void give_away(Session& session);
  void login_stays(const CancelKey& key, const CancelRegistry::Owner& owner);
  void await_drain();      // one more session that must end its transaction first
  void session_drained();  // one of these has

 private:
  void cancel_answered(std::uint64_t number, bool may_go);
  // Of those that are on their way, by where they go.
  void abandon_cancels(const std::function<bool(const RouteTarget& server)>& stays);
  void abandon_all_cancels() {
    abandon_cancels([](const RouteTarget&) { return false; });
  }
  void reap();

  WorkerServices services_;
  SharedCluster& shared_;
  EvidenceReporter evidence_;
  std::function<void()> on_session_gone_;
  std::shared_ptr<const Route> route_;
  std::shared_ptr<const AccessSettings> settings_;
  ClusterTls tls_;
  Instant handshake_failure_told_at_{};
  SessionCounters counters_;
  // Of a node that was ever configured.
  struct NodeSigns {
    explicit NodeSigns(std::string name) : node(std::move(name)) {}
    const std::string node;
    std::atomic<Instant::rep> last_bytes{0};
    Instant left_out_until{};  // of the read-only endpoint
    bool verifiers_can_be_read = false;
  };
  std::deque<NodeSigns> node_signs_;  // grows only in set_settings()
  WaitingRoom waiting_room_;
  Timer reaper_;
  bool shutting_down_ = false;
  std::string ending_cause_;
  bool gone_ = false;  // from the configuration
  Leaver goes_;
  KeyWitness stays_;
  std::function<void()> on_drained_;

  std::list<std::unique_ptr<Session>> sessions_;
  std::list<std::unique_ptr<Session>> retired_sessions_;
  std::uint64_t cancels_begun_ = 0;
  struct Cancel {
    RouteTarget server;
    std::unique_ptr<CancelForwarder> forwarder;
  };
  std::map<std::uint64_t, Cancel> cancels_;  // by number
  std::vector<std::unique_ptr<CancelForwarder>> retired_cancels_;
};

}  // namespace pgkeel
