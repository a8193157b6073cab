#include "proxy/listener/worker_pool.h"

#include <algorithm>
#include <atomic>
#include <cassert>
#include <mutex>
#include <optional>
#include <thread>
#include <utility>

#include "proxy/base/log.h"
#include "proxy/io/clock.h"
#include "proxy/io/descriptor_budget.h"
#include "proxy/io/loop.h"
#include "proxy/io/timer.h"
#include "proxy/io/wakeup.h"
#include "proxy/listener/descriptor_plan.h"
#include "proxy/listener/worker.h"

namespace pgkeel {
namespace {

std::string socket_name(const std::string& cluster) {
  return "cluster-" + cluster;
}

}  // namespace

struct WorkerPool::Inner {
  Inner(Loop& control_loop, const ProxyConfig& proxy_config, const std::vector<ClusterConfig>& cluster_configs,
        std::uint64_t most_descriptors, EvidenceSink on_evidence, CancelJudge judge, VerifierSource verifiers)
      : proxy(proxy_config),
        configs(cluster_configs),
        descriptor_limit(most_descriptors),
        evidence(std::move(on_evidence)),
        cancel_judge(std::move(judge)),
        verifier_source(std::move(verifiers)),
        control(control_loop),
        stop_limit(control_loop, [this] { finish_stop(); }),
        ports(cluster_configs.size()),
        listening(cluster_configs.size()),
        routes(cluster_configs.size()),
        has_led_somewhere(cluster_configs.size()) {}

  Result<void> start(std::vector<NamedSocket>& inherited);
  Result<void> share_descriptors(std::uint32_t worker_count);
  void make_workers(std::uint32_t count);
  void hand_over(std::size_t cluster, std::size_t acceptor, AcceptedClient client);
  [[nodiscard]] std::size_t least_loaded_worker();
  // Called by every worker; `then` is called on the control thread behind the last of them.
  [[nodiscard]] std::function<void()> by_the_last(std::function<void()> then);
  void end_threads();
  void finish_stop();
  [[nodiscard]] std::size_t cluster_index(const std::string& name) const;

  const ProxyConfig proxy;
  const std::vector<ClusterConfig> configs;
  const std::uint64_t descriptor_limit;
  EvidenceSink evidence;
  CancelJudge cancel_judge;
  VerifierSource verifier_source;
  Wakeup control;
  Timer stop_limit;
  std::vector<std::uint16_t> ports;         // bound, by cluster
  std::vector<std::vector<int>> listening;  // descriptors, by cluster; the listeners of the workers own them
  struct AddedKey {
    std::size_t cluster = 0;
    CancelKey key;
    CancelRegistry::EntryId entry = 0;
  };
  std::vector<AddedKey> added_keys;
  std::vector<Route> routes;  // the newest, by cluster
  std::vector<bool> has_led_somewhere;
  std::vector<std::unique_ptr<SharedCluster>> clusters;
  DescriptorPlan plan;
  // Before the workers: their clients give back to these.
  std::optional<DescriptorBudget> descriptors;
  std::optional<DescriptorBudget> newcomers;
  std::atomic<std::uint32_t> clients{0};
  std::atomic<std::uint32_t> next_worker{0};
  std::vector<std::unique_ptr<Worker>> workers;
  bool running = false;
  bool started = false;  // once
  std::size_t workers_not_drained = 0;
  std::function<void()> stopped;
};

WorkerPool::WorkerPool(Loop& control_loop, const ProxyConfig& proxy, const std::vector<ClusterConfig>& clusters,
                       std::uint64_t descriptor_limit, EvidenceSink on_evidence, CancelJudge cancel_judge,
                       VerifierSource verifier_source)
    : inner_(std::make_unique<Inner>(control_loop, proxy, clusters, descriptor_limit, std::move(on_evidence),
                                     std::move(cancel_judge), std::move(verifier_source))) {}

WorkerPool::~WorkerPool() {
  inner_->end_threads();
}

Result<void> WorkerPool::start(std::vector<NamedSocket>& inherited) {
  auto started = inner_->start(inherited);
  if (!started) inner_->workers.clear();
  return started;
}

Result<void> WorkerPool::Inner::start(std::vector<NamedSocket>& inherited) {
  const std::uint32_t worker_count =
      proxy.workers > 0 ? proxy.workers : std::max(1U, std::thread::hardware_concurrency());
  if (auto shared = share_descriptors(worker_count); !shared) return shared;
  clusters.clear();
  for (const auto& config : configs) {
    auto networks = AllowList::parse(config.allow);
    if (!networks) return Error{"cluster \"" + config.name + "\": allow: " + networks.error().message};
    auto tls = load_cluster_tls(config);
    if (!tls) return Error{"cluster \"" + config.name + "\": " + tls.error().message};
    clusters.push_back(
        std::make_unique<SharedCluster>(config, std::move(*networks), std::move(*tls), proxy.login_rate));
  }
  make_workers(worker_count);
  for (std::size_t cluster = 0; cluster < configs.size(); ++cluster) {
    auto bound = Listener::bind_all(configs[cluster].listen, socket_name(configs[cluster].name), inherited);
    if (!bound) return Error{"cluster \"" + configs[cluster].name + "\": " + bound.error().message};
    ports[cluster] = bound->front().bound_port();
    for (const auto& socket : *bound) listening[cluster].push_back(socket.descriptor());
    // One worker accepts for a cluster and hands out: SO_REUSEPORT would spread a few clients unevenly, and drop those
    // that wait in the queue of a socket that is closed.
    const std::size_t acceptor = cluster % workers.size();
    Listener::Room room{*descriptors, *newcomers, [this] {
                          for (const auto& worker : workers) worker->make_room();
                        }};
    workers[acceptor]->add_listener(
        cluster, std::move(*bound), std::move(room),
        [this, cluster, acceptor](AcceptedClient client) { hand_over(cluster, acceptor, std::move(client)); });
  }
  for (const auto& worker : workers) worker->start();
  running = true;
  started = true;
  return {};
}

Result<void> WorkerPool::Inner::share_descriptors(std::uint32_t worker_count) {
  DescriptorNeeds needs{.workers = worker_count,
                        .clusters = static_cast<std::uint32_t>(configs.size()),
                        .nodes = 0,
                        .clients = proxy.max_client_connections};
  for (const auto& config : configs) needs.nodes += static_cast<std::uint32_t>(config.nodes.size());
  auto planned = plan_descriptors(descriptor_limit, needs);
  if (!planned) return planned.error();
  plan = *planned;
  descriptors.emplace(plan.data_path);
  newcomers.emplace(plan.newcomers);
  if (plan.clients < needs.clients) {
    log(LogLevel::kWarning, "listener",
        "the limit on open files (RLIMIT_NOFILE) is " + std::to_string(descriptor_limit) + ": room for " +
            std::to_string(plan.clients) +
            " clients, not for max_client_connections = " + std::to_string(needs.clients) + "; raise it to " +
            std::to_string(plan.wanted) + " (systemd: LimitNOFILE=, shell: ulimit -n)");
  }
  return {};
}

void WorkerPool::Inner::make_workers(std::uint32_t count) {
  const WorkerShare share{clients, plan.clients};
  for (std::uint32_t index = 0; index < count; ++index) {
    workers.push_back(std::make_unique<Worker>(
        proxy, share, clusters,
        [this](LinkEvidence report) { control.post([this, report = std::move(report)] { evidence(report); }); },
        [this](CancelQuestion question, CancelAnswer answer) {
          control.post(
              [this, question = std::move(question), answer = std::move(answer)] { cancel_judge(question, answer); });
        },
        [this](VerifierQuestion question, VerifierSink sink) {
          control.post(
              [this, question = std::move(question), sink = std::move(sink)] { verifier_source(question, sink); });
        },
        [this] {
          control.post([this] {
            if (--workers_not_drained == 0) finish_stop();
          });
        }));
  }
}

void WorkerPool::Inner::hand_over(std::size_t cluster, std::size_t acceptor, AcceptedClient client) {
  const std::size_t least = least_loaded_worker();
  if (least == acceptor)
    workers[least]->accept_here(cluster, std::move(client));
  else
    workers[least]->accept_there(cluster, std::move(client));
}

std::size_t WorkerPool::Inner::least_loaded_worker() {
  const std::size_t first = next_worker.fetch_add(1, std::memory_order_relaxed) % workers.size();
  std::size_t least = first;
  for (std::size_t step = 1; step < workers.size(); ++step) {
    const std::size_t other = (first + step) % workers.size();
    if (workers[other]->load() < workers[least]->load()) least = other;
  }
  return least;
}

std::function<void()> WorkerPool::Inner::by_the_last(std::function<void()> then) {
  auto left = std::make_shared<std::atomic<std::size_t>>(workers.size());
  return [this, left = std::move(left), then = std::move(then)] {
    if (left->fetch_sub(1, std::memory_order_acq_rel) == 1) control.post(then);
  };
}

std::size_t WorkerPool::Inner::cluster_index(const std::string& name) const {
  const auto at =
      std::find_if(configs.begin(), configs.end(), [&](const ClusterConfig& config) { return config.name == name; });
  assert(at != configs.end());
  return static_cast<std::size_t>(at - configs.begin());
}

void WorkerPool::publish_route(const std::string& cluster, Route route, std::function<void()> applied,
                               std::function<void()> drained) {
  assert(applied);
  assert(drained);
  assert(inner_->started);
  auto& inner = *inner_;
  const std::size_t index = inner.cluster_index(cluster);
  assert(route.epoch >= inner.routes[index].epoch);
  if (!inner.running) {  // stopped: no client's byte reaches any node
    inner.control.post(std::move(applied));
    return;
  }
  // Sessions were ended, and come back now: after a failover, and where the primary was given up for a while.
  const bool changed = route.epoch != inner.routes[index].epoch || route.target != inner.routes[index].target;
  if (changed && route.target && inner.has_led_somewhere[index]) {
    inner.clusters[index]->login_gate.limit_from(monotonic_now());
  }
  if (route.target) inner.has_led_somewhere[index] = true;
  inner.routes[index] = route;
  const auto shared_route = std::make_shared<const Route>(std::move(route));
  const auto each_applied = inner.by_the_last(std::move(applied));
  const auto each_drained = inner.by_the_last(std::move(drained));
  for (const auto& worker : inner.workers) worker->set_route(index, shared_route, each_applied, each_drained);
}

void WorkerPool::replace_tls(const std::string& cluster, const ClusterTls& tls) {
  const std::size_t index = inner_->cluster_index(cluster);
  for (const auto& worker : inner_->workers) worker->set_tls(index, tls);
}

void WorkerPool::go_on_accepting() {
  for (const auto& worker : inner_->workers) worker->go_on_accepting();
}

std::vector<NamedSocket> WorkerPool::listening_sockets() const {
  std::vector<NamedSocket> sockets;
  for (std::size_t cluster = 0; cluster < inner_->configs.size(); ++cluster) {
    for (const int descriptor : inner_->listening[cluster]) {
      if (auto copy = duplicate_socket(descriptor))
        sockets.push_back({socket_name(inner_->configs[cluster].name), std::move(*copy)});
    }
  }
  return sockets;
}

void WorkerPool::move_out(std::function<void(Moved)> moved) {
  auto& inner = *inner_;
  struct Collected {
    std::mutex mutex;
    Moved sessions;
  };
  const auto collected = std::make_shared<Collected>();
  const auto each_moved =
      inner.by_the_last([collected, moved = std::move(moved)] { moved(std::move(collected->sessions)); });
  const auto take_out = inner.by_the_last([&inner, collected, each_moved] {
    for (const auto& worker : inner.workers) {
      worker->move_out([&inner, collected](std::size_t cluster, std::vector<MovedSession> sessions) {
        const std::lock_guard lock(collected->mutex);
        for (auto& session : sessions)
          collected->sessions.emplace_back(inner.configs[cluster].name, std::move(session));
      });
      worker->follow_up(each_moved);
    }
  });
  for (const auto& worker : inner.workers) worker->pause_accepting(take_out);
}

void WorkerPool::leave(Goes goes, Stays stays) {
  auto& inner = *inner_;
  const auto each_goes = [&inner, goes = std::move(goes)](std::size_t cluster, MovedSession moved) {
    const auto session = std::make_shared<MovedSession>(std::move(moved));
    inner.control.post([&inner, goes, cluster, session] { goes(inner.configs[cluster].name, std::move(*session)); });
  };
  const auto each_stays = [&inner, stays](std::size_t cluster, const CancelKey& key,
                                          const CancelRegistry::Owner& owner) {
    inner.control.post([&inner, stays, cluster, key, owner] { stays(inner.configs[cluster].name, key, owner); });
  };
  const auto all_told = inner.by_the_last([&inner, stays = std::move(stays)] {
    for (std::size_t cluster = 0; cluster < inner.configs.size(); ++cluster) {
      for (const auto& [key, owner] : inner.clusters[cluster]->cancel_registry.entries())
        stays(inner.configs[cluster].name, key, owner);
    }
  });
  for (const auto& worker : inner.workers) worker->leave(each_goes, each_stays, all_told);
}

void WorkerPool::stay() {
  for (const auto& worker : inner_->workers) worker->stay();
}

void WorkerPool::drop_listeners() {
  for (auto& descriptors : inner_->listening) descriptors.clear();
  for (const auto& worker : inner_->workers) worker->drop_listeners();
}

void WorkerPool::take_over(const std::string& cluster, MovedSession moved) {
  auto& inner = *inner_;
  AcceptedClient client;
  client.descriptors = inner.descriptors->take();
  if (!moved.established) client.place = inner.newcomers->take();
  client.socket = std::move(moved.client);
  client.peer = client.socket.peer().ip();
  inner.workers[inner.least_loaded_worker()]->take_over(inner.cluster_index(cluster), std::move(client),
                                                        std::move(moved));
}

void WorkerPool::add_cancel_key(const std::string& cluster, const CancelKey& key, const CancelRegistry::Owner& owner) {
  const std::size_t index = inner_->cluster_index(cluster);
  inner_->added_keys.push_back({index, key, inner_->clusters[index]->cancel_registry.add(key, owner)});
}

void WorkerPool::forget_added_keys() {
  for (const auto& added : inner_->added_keys)
    inner_->clusters[added.cluster]->cancel_registry.remove(added.key, added.entry);
  inner_->added_keys.clear();
}

bool WorkerPool::has_cluster(const std::string& cluster) const {
  return std::ranges::find(inner_->configs, cluster, &ClusterConfig::name) != inner_->configs.end();
}

void WorkerPool::follow_up(std::function<void()> done) {
  const auto each = inner_->by_the_last(std::move(done));
  for (const auto& worker : inner_->workers) worker->follow_up(each);
}

void WorkerPool::stop(Duration limit, std::function<void()> stopped, bool keep_listening) {
  auto& inner = *inner_;
  inner.stopped = std::move(stopped);
  inner.workers_not_drained = inner.workers.size();
  inner.stop_limit.start_once(limit);
  for (const auto& worker : inner.workers) worker->shut_down(keep_listening);
}

void WorkerPool::Inner::finish_stop() {
  stop_limit.stop();
  end_threads();
  if (const auto callback = std::exchange(stopped, {})) callback();
}

void WorkerPool::Inner::end_threads() {
  if (!std::exchange(running, false)) return;
  for (const auto& worker : workers) worker->quit();
  for (const auto& worker : workers) worker->join();
}

std::uint16_t WorkerPool::bound_port(const std::string& cluster) const {
  return inner_->ports[inner_->cluster_index(cluster)];
}

Instant WorkerPool::last_bytes_from(const std::string& cluster, const std::string& node) const {
  const std::size_t index = inner_->cluster_index(cluster);
  Instant last{};
  for (const auto& worker : inner_->workers) {
    const AccessPoint& access_point = worker->access_point(index);
    last = std::max(last, access_point.last_bytes_from(node));
  }
  return last;
}

std::vector<Duration> WorkerPool::loop_lags() const {
  std::vector<Duration> lags;
  for (const auto& worker : inner_->workers) lags.push_back(worker->loop_lag());
  return lags;
}

std::vector<ClusterSessionStats> WorkerPool::stats() const {
  std::vector<ClusterSessionStats> sums;
  for (std::size_t cluster = 0; cluster < inner_->configs.size(); ++cluster) {
    ClusterSessionStats& sum = sums.emplace_back();
    sum.cluster = inner_->configs[cluster].name;
    for (const auto& worker : inner_->workers) worker->access_point(cluster).counters().add_to(sum);
  }
  return sums;
}

}  // namespace pgkeel
