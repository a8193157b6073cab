// One worker: a thread with its loop, and its share of every cluster's access point. Members say which thread may call
// them; "control" is the thread that owns the pool.
#pragma once

#include <array>
#include <atomic>
#include <cstddef>
#include <functional>
#include <memory>
#include <optional>
#include <thread>
#include <vector>

#include "proxy/io/beat.h"
#include "proxy/io/loop.h"
#include "proxy/io/loop_lag.h"
#include "proxy/io/resolver.h"
#include "proxy/io/wakeup.h"
#include "proxy/listener/listener.h"
#include "proxy/session/access_point.h"

namespace pgkeel {

// What a worker has of what is the process's.
struct WorkerShare {
  std::atomic<std::uint32_t>& clients;   // of all workers
  std::atomic<std::uint32_t>& unproven;  // of these, logins of UnprovenLogins
  std::uint32_t clients_max = 0;         // of all workers
};

class Worker {
 public:
  // `on_evidence`, `cancel_judge`, `verifier_source` and `on_drained` (no session is left after shut_down()) are called
  // in the worker's thread. The judge and the source answer in any thread, as long as the worker lives.
  Worker(const ProxyConfig& limits, const WorkerShare& share,
         const std::vector<std::unique_ptr<SharedCluster>>& clusters,
         const std::function<void(LinkEvidence)>& on_evidence, const CancelJudge& cancel_judge,
         const VerifierSource& verifier_source, std::function<void()> on_drained);
  ~Worker();  // after join(), or never started
  Worker(const Worker&) = delete;
  Worker& operator=(const Worker&) = delete;

  // Control, before start(): this worker accepts for a cluster. `on_client` is called in the worker's thread.
  void add_listener(std::size_t cluster, std::vector<Socket> bound, Listener::Room room, Listener::OnClient on_client);

  void start();  // control
  void join();   // control, after quit()

  // Control, between start() and quit(): runs the task in the worker's thread, and returns when it has run.
  void run(const std::function<void(Worker&)>& task);

  // ---- for what run() runs ----
  void set_limits(const ProxyConfig& limits, std::uint32_t clients_max);
  void add_cluster(SharedCluster& cluster);
  [[nodiscard]] AccessPoint& own_access_point(std::size_t cluster) { return *access_points_[cluster]; }
  // In place of the one that was there, whose clients are taken in.
  void replace_listener(std::size_t cluster, std::vector<Socket> bound, Listener::Room room,
                        Listener::OnClient on_client, const std::vector<int>& handed_on);
  // The sockets that are `handed_on`, by their descriptors, other listeners have.
  void remove_listener(std::size_t cluster, const std::vector<int>& handed_on);

  // A client that one of this worker's own listeners accepted. Worker's thread.
  void accept_here(std::size_t cluster, AcceptedClient client);

  // Any thread; each is carried out in the worker's thread, in order.
  void accept_there(std::size_t cluster, AcceptedClient client);
  void make_room();  // for newcomers
  void set_route(std::size_t cluster, std::shared_ptr<const Route> route, std::function<void()> done,
                 std::function<void()> drained);
  void set_tls(std::size_t cluster, ClusterTls tls);
  // Every listener waits, or goes on; `done` is called when it does.
  void pause_accepting(std::function<void()> done);
  void go_on_accepting();
  void drop_listeners();  // others have the sockets too
  // Of AccessPoint's; each callback comes in the worker's thread.
  void move_out(std::function<void(std::size_t cluster, std::vector<MovedSession>)> moved);
  void leave(const std::function<void(std::size_t cluster, MovedSession)>& goes,
             const std::function<void(std::size_t cluster, const CancelKey&, const CancelRegistry::Owner&)>& stays,
             std::function<void()> done);
  void stay();
  void take_over(std::size_t cluster, AcceptedClient client, MovedSession moved);
  // Of a client of another pgkeel: `client` has no socket.
  void forward_cancel(std::size_t cluster, AcceptedClient client, const CancelKey& key);
  void follow_up(std::function<void()> done);  // all that was posted before is done
  void count_states();                         // AccessPoint's

  void close_doors(AtTheDoor newcomers);
  void turn_deaf_to(const std::optional<IpAddress>& address);  // Listener's
  void end_clients_of(const IpAddress& address, const std::string& cause);
  void end_behind_transactions(const std::string& cause);
  void shut_down(bool keep_listening);
  void quit();  // all is closed, and the loop ends

  // Any thread.
  [[nodiscard]] std::uint32_t load() const { return load_.load(std::memory_order_relaxed); }
  [[nodiscard]] Duration loop_lag() const { return loop_lag_.worst(); }
  [[nodiscard]] const AccessPoint& access_point(std::size_t cluster) const { return *access_points_[cluster]; }

 private:
  static constexpr std::size_t kReadBufferBytes = 262144;

  void session_gone();
  void follow_route(Listener& listener, const Route& route) const;

  ProxyConfig limits_;
  std::uint32_t clients_max_;
  Loop loop_;
  LoopLag loop_lag_{loop_};
  Wakeup wakeup_;
  std::optional<Resolver> resolver_;
  std::unique_ptr<std::array<std::byte, kReadBufferBytes>> read_buffer_;
  std::function<void()> on_drained_;
  CancelJudge cancel_judge_;        // answers in this worker's thread
  VerifierSource verifier_source_;  // so does this
  Newcomers newcomers_;
  UnprovenLogins unproven_;
  const WorkerServices services_;
  std::function<void(LinkEvidence)> on_evidence_;
  std::vector<std::unique_ptr<AccessPoint>> access_points_;
  Beat acknowledge_review_;
  std::vector<std::unique_ptr<Listener>> listeners_;  // by cluster; nothing where another worker accepts
  std::atomic<std::uint32_t> load_{0};                // sessions, those on their way here included
  bool accepting_ = false;                            // go_on_accepting() came, and no pause since
  bool doors_are_closed_ = false;
  bool shutting_down_ = false;
  bool drained_ = false;
  std::thread thread_;
};

}  // namespace pgkeel
