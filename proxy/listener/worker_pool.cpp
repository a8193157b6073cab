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
#include "proxy/listener/worker_pool_inner.h"

namespace pgkeel {

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
  const auto planned = plan_for(worker_count, proxy, configs);
  if (!planned) return planned.error();
  plan = *planned;
  descriptors.emplace(plan.data_path);
  newcomers.emplace(plan.newcomers);
  tell_of_plan();
  clusters.clear();
  std::vector<std::vector<Socket>> bound;
  for (const auto& config : configs) {
    auto access = prepare_access(config, true, inherited);
    if (!access) return access.error();
    clusters.push_back(
        std::make_unique<SharedCluster>(config.name, access->settings, std::move(access->tls), proxy.login_rate));
    bound.push_back(std::move(access->bound));
  }
  make_workers(worker_count);
  for (std::size_t cluster = 0; cluster < configs.size(); ++cluster) {
    ports[cluster] = bound[cluster].front().bound_port();
    listening[cluster] = descriptors_of(bound[cluster]);
    workers[acceptor_of(cluster)]->add_listener(cluster, std::move(bound[cluster]), room(), on_client(cluster));
  }
  for (const auto& worker : workers) worker->start();
  running = true;
  started = true;
  return {};
}

Result<DescriptorPlan> WorkerPool::Inner::plan_for(std::size_t worker_count, const ProxyConfig& wanted,
                                                   const std::vector<ClusterConfig>& wanted_clusters) const {
  DescriptorNeeds needs{.workers = static_cast<std::uint32_t>(worker_count),
                        .clusters = static_cast<std::uint32_t>(wanted_clusters.size()),
                        .nodes = 0,
                        .clients = wanted.max_client_connections};
  for (const auto& config : wanted_clusters) needs.nodes += static_cast<std::uint32_t>(config.nodes.size());
  return plan_descriptors(descriptor_limit, needs);
}

void WorkerPool::Inner::tell_of_plan() const {
  if (plan.clients >= proxy.max_client_connections) return;
  log(LogLevel::kWarning, "listener",
      "the limit on open files (RLIMIT_NOFILE) is " + std::to_string(descriptor_limit) + ": room for " +
          std::to_string(plan.clients) +
          " clients, not for max_client_connections = " + std::to_string(proxy.max_client_connections) +
          "; raise it to " + std::to_string(plan.wanted) + " (systemd: LimitNOFILE=, shell: ulimit -n)");
}

// One worker accepts for a cluster and hands out: SO_REUSEPORT would spread a few clients unevenly, and drop those that
// wait in the queue of a socket that is closed.
std::size_t WorkerPool::Inner::acceptor_of(std::size_t cluster) const {
  return cluster % workers.size();
}

Listener::Room WorkerPool::Inner::room() {
  return {*descriptors, *newcomers, [this] {
            for (const auto& worker : workers) worker->make_room();
          }};
}

Listener::OnClient WorkerPool::Inner::on_client(std::size_t cluster) {
  return [this, cluster, acceptor = acceptor_of(cluster)](AcceptedClient client) {
    hand_over(cluster, acceptor, std::move(client));
  };
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

std::optional<std::size_t> WorkerPool::Inner::find(const std::string& name) const {
  const auto at = std::ranges::find(configs, name, &ClusterConfig::name);
  if (at == configs.end()) return std::nullopt;
  return static_cast<std::size_t>(at - configs.begin());
}

std::size_t WorkerPool::Inner::cluster_index(const std::string& name) const {
  const auto found = find(name);
  assert(found.has_value());
  return *found;
}

void WorkerPool::publish_route(const std::string& cluster, Route route, std::function<void()> applied,
                               std::function<void()> drained) {
  assert(applied);
  assert(drained);
  assert(inner_->started);
  auto& inner = *inner_;
  const std::size_t index = inner.cluster_index(cluster);
  assert(route.epoch >= inner.routes[index].epoch);
  if (!inner.running || inner.gone[index]) {  // stopped: no client's byte reaches any node
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
  const auto place = inner_->find(cluster);
  return place && !inner_->gone[*place];
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
    if (inner_->gone[cluster]) continue;
    ClusterSessionStats& sum = sums.emplace_back();
    sum.cluster = inner_->configs[cluster].name;
    for (const auto& worker : inner_->workers) worker->access_point(cluster).counters().add_to(sum);
  }
  return sums;
}

}  // namespace pgkeel
