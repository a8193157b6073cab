// A real WorkerPool with a control thread of its own, in front of two scripted servers, `a` and `b`. Its cluster is
// `c`; there is another one of the same nodes, `d`, which leads nowhere unless a test says so.
#pragma once

#include <atomic>
#include <functional>
#include <map>
#include <memory>
#include <mutex>
#include <string>
#include <string_view>
#include <thread>
#include <vector>

#include "proxy/io/loop.h"
#include "proxy/io/wakeup.h"
#include "proxy/listener/worker_pool.h"
#include "tests/support/peer.h"
#include "tests/support/wait_until.h"
#include "tests/support/wire_messages.h"

namespace pgkeel::test {

class ProxyUnderTest {
 public:
  struct Options {
    ProxyConfig proxy{.workers = 2};
    std::vector<std::string> allow{"0.0.0.0/0", "::/0"};
    std::uint64_t descriptor_limit = 1'000'000;
    Duration failure_timeout = std::chrono::seconds(3);
    Durability durability = Durability::kAsync;
    VerifierSource verifier_source = [](const VerifierQuestion&, const VerifierSink&) {};  // so is this
    ClientTlsConfig client_tls = {};
    ServerTlsConfig server_tls = {};
    std::string server_host = "127.0.0.1";  // of a and b, as it is configured
    bool read_only = false;                 // `c` has a read-only endpoint
    bool tell_client_address = false;
    CancelJudge cancel_judge = [](const CancelQuestion&, const CancelAnswer&) {};  // called in the control thread
  };

  ProxyUnderTest() : ProxyUnderTest(Options{}) {}
  explicit ProxyUnderTest(const Options& options);
  ~ProxyUnderTest();
  ProxyUnderTest(const ProxyUnderTest&) = delete;
  ProxyUnderTest& operator=(const ProxyUnderTest&) = delete;

  PeerListener a, b;

  // Each returns when every worker has applied it.
  void route_to_a(std::uint64_t epoch, std::string reason = "a is the primary");
  void route_to_b(std::uint64_t epoch, std::string reason = "a failed, b was promoted");
  void route_nowhere(std::uint64_t epoch, std::string reason = "a failed");
  void publish(Route route, const std::string& endpoint = "c");
  void publish_read_only(Route route);
  // Of a or b, for publish_read_only().
  enum class As { kPrimary, kStandby };
  [[nodiscard]] ReadTarget reader(const std::string& node, As role, bool takes_new = true) const;
  // The same route as before, which lets nobody new through and waits for the end of transactions.
  void drain_a(std::uint64_t epoch, std::string reason = "a switchover is under way");
  // How often a route that drains was said to have drained.
  [[nodiscard]] std::uint32_t times_drained() const { return times_drained_; }

  // Another pool, as of another process, takes over: its sockets, and the sessions that can go at once. The others
  // stay with the former one until they can.
  void hand_over();
  [[nodiscard]] ClusterSessionStats former_stats() const { return former_->stats().front(); }
  void publish_to_former(Route route);

  // Returns when the pool has stopped.
  void stop(Duration limit);
  void stop_later(Duration limit, std::function<void()> stopped);  // `stopped` is called in the control thread
  void replace_client_tls(const ClientTlsConfig& client_tls);      // its files are read
  // What is configured now, for a test to change; and a reload with it: empty, or why it was refused.
  struct Configured {
    ProxyConfig proxy;
    std::vector<ClusterConfig> clusters;
  };
  Configured configured;
  std::string reload();
  // As of a pgkeel among several: `tell` is called in the control thread.
  void on_strange_cancel(WorkerPool::StrangeCancel tell);
  bool forward_cancel(const CancelKey& key);
  void set_write_deadline(Instant until);
  void close_doors(AtTheDoor newcomers);
  void take_back();                                    // a handover that began, and fails
  void in_control_thread(std::function<void()> task);  // returns when it was run

  [[nodiscard]] std::uint16_t port() const { return port_; }  // at the start
  [[nodiscard]] std::uint16_t port_of(const std::string& endpoint) const { return pool_->bound_port(endpoint); }
  Peer connect() const { return Peer::connect_to(port_); }
  Peer connect_read_only() const { return Peer::connect_to(read_only_port()); }
  [[nodiscard]] std::uint16_t read_only_port() const { return pool_->bound_port("c/read-only"); }
  [[nodiscard]] ReadOnlySessionStats read_only_stats() const { return pool_->read_only_stats("c"); }
  [[nodiscard]] ClusterSessionStats stats() const { return pool_->stats().front(); }
  [[nodiscard]] std::uint64_t bytes_read() const;  // by the proxy, from both sides
  [[nodiscard]] Instant last_bytes_from(const std::string& node) const { return pool_->last_bytes_from("c", node); }
  [[nodiscard]] std::vector<LinkEvidence> evidence() const;
  [[nodiscard]] bool has_evidence(LinkEvidence::Kind kind, const std::string& node) const;

  // A client that is past its login at `server`, and the server's end of its link.
  struct Established {
    Peer client;
    Peer server;
  };
  Established establish(PeerListener& server, std::uint32_t process_id = 4711, std::string_view secret = "\1\2\3\4");

 private:
  std::unique_ptr<WorkerPool> make_pool();
  void take_over(const std::string& endpoint, MovedSession session);
  void publish_to(WorkerPool& pool, Route route, const std::string& endpoint);

  Loop loop_;
  Wakeup wakeup_;
  Options options_;
  std::map<std::string, Route> routes_;  // the newest, by endpoint
  std::unique_ptr<WorkerPool> former_;
  std::unique_ptr<WorkerPool> pool_;
  std::string server_host_;
  std::thread control_;
  std::uint16_t port_ = 0;
  bool stopped_ = false;
  std::atomic<std::uint32_t> times_drained_{0};
  mutable std::mutex mutex_;
  std::vector<LinkEvidence> evidence_;
};

// Sends until nothing is taken any more and the proxy has stopped reading, for so many milliseconds; returns how much
// was taken.
std::size_t send_until_blocked(const ProxyUnderTest& proxy, Peer& sender, std::string_view bytes, int quiet_max = 20);

// The only error among what a client heard last, checked to be a FATAL after which nothing came.
wire_test::Heard last_error(std::string_view heard);

}  // namespace pgkeel::test
