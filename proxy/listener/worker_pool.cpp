#include "proxy/listener/worker_pool.h"

#include <algorithm>
#include <cassert>
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

Result<void> WorkerPool::start(std::vector<NamedSocket>& inherited, Duration port_patience) {
  auto started = inner_->start(inherited, port_patience);
  if (!started) inner_->workers.clear();
  return started;
}

Result<void> WorkerPool::Inner::start(std::vector<NamedSocket>& inherited, Duration port_patience) {
  const std::uint32_t worker_count =
      proxy.workers > 0 ? proxy.workers : std::max(1U, std::thread::hardware_concurrency());
  const auto planned = plan_for(worker_count, proxy, first_configs);
  if (!planned) return planned.error();
  plan = *planned;
  descriptors.emplace(plan.data_path);
  newcomers.emplace(plan.newcomers);
  tell_of_plan();
  std::vector<std::vector<Socket>> bound;
  for (const auto& config : first_configs) {
    auto endpoints = prepare_access(config);
    if (!endpoints) return endpoints.error();
    for (Access& access : *endpoints) {
      if (auto done = bind_access(access, inherited, port_patience); !done) return done;
      add_place(access);
      bound.push_back(std::move(access.bound));
    }
  }
  make_workers(worker_count);
  for (std::size_t place = 0; place < places.size(); ++place) {
    places[place].port = bound[place].front().bound_port();
    places[place].listening = descriptors_of(bound[place]);
    workers[acceptor_of(place)]->add_listener(place, std::move(bound[place]), room(), on_client(place));
  }
  for (const auto& worker : workers) worker->start();
  running = true;
  started = true;
  return {};
}

Result<DescriptorPlan> WorkerPool::Inner::plan_for(std::size_t worker_count, const ProxyConfig& wanted,
                                                   const std::vector<ClusterConfig>& wanted_clusters) const {
  DescriptorNeeds needs{.workers = static_cast<std::uint32_t>(worker_count),
                        .endpoints = 0,
                        .nodes = 0,
                        .clients = wanted.max_client_connections};
  for (const auto& config : wanted_clusters) {
    needs.endpoints += config.has_read_only_endpoint() ? 2 : 1;
    needs.nodes += static_cast<std::uint32_t>(config.nodes.size());
  }
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

// One worker accepts for an endpoint and hands out: SO_REUSEPORT would spread a few clients unevenly, and drop those
// that wait in the queue of a socket that is closed.
std::size_t WorkerPool::Inner::acceptor_of(std::size_t place) const {
  return place % workers.size();
}

Listener::Room WorkerPool::Inner::room() {
  return {*descriptors, *newcomers, [this] {
            for (const auto& worker : workers) worker->make_room();
          }};
}

Listener::OnClient WorkerPool::Inner::on_client(std::size_t place) {
  return [this, place, acceptor = acceptor_of(place)](AcceptedClient client) {
    hand_over(place, acceptor, std::move(client));
  };
}

void WorkerPool::Inner::make_workers(std::uint32_t count) {
  const WorkerShare share{clients, unproven, plan.clients};
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

void WorkerPool::Inner::hand_over(std::size_t place, std::size_t acceptor, AcceptedClient client) {
  const std::size_t least = least_loaded_worker();
  if (least == acceptor)
    workers[least]->accept_here(place, std::move(client));
  else
    workers[least]->accept_there(place, std::move(client));
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

std::optional<std::size_t> WorkerPool::Inner::find(const std::string& endpoint) const {
  const auto at = std::ranges::find(places, endpoint, &Place::name);
  if (at == places.end()) return std::nullopt;
  return static_cast<std::size_t>(at - places.begin());
}

std::size_t WorkerPool::Inner::place_of(const std::string& endpoint) const {
  const auto found = find(endpoint);
  assert(found.has_value());
  return *found;
}

std::size_t WorkerPool::Inner::add_place(const Access& access) {
  Place& place = places.emplace_back();
  place.cluster = access.cluster;
  place.endpoint = access.endpoint;
  place.listen = access.listen;
  clusters.push_back(
      std::make_unique<SharedCluster>(access.cluster, access.endpoint, access.settings, access.tls, proxy.login_rate));
  watch_strange_cancels(*clusters.back());
  return places.size() - 1;
}

void WorkerPool::publish_route(const std::string& endpoint, Route route, std::function<void()> applied,
                               std::function<void()> drained) {
  assert(applied);
  assert(drained);
  assert(inner_->started);
  auto& inner = *inner_;
  const std::size_t index = inner.place_of(endpoint);
  Inner::Place& place = inner.places[index];
  assert(route.epoch >= place.route.epoch);
  if (!inner.running || place.gone) {  // stopped: no client's byte reaches any node
    inner.control.post(std::move(applied));
    return;
  }
  // Sessions were ended, and come back now: after a failover, and where the primary was given up for a while.
  const bool opens = !place.route.leads_somewhere();
  const bool changed = opens || route.epoch != place.route.epoch || route.target != place.route.target;
  if (changed && route.leads_somewhere() && place.has_led_somewhere)
    inner.clusters[index]->login_gate.limit_from(monotonic_now());
  if (route.leads_somewhere()) place.has_led_somewhere = true;
  place.route = route;
  const auto shared_route = std::make_shared<const Route>(std::move(route));
  const auto each_applied = inner.by_the_last(std::move(applied));
  const auto each_drained = inner.by_the_last(std::move(drained));
  for (const auto& worker : inner.workers) worker->set_route(index, shared_route, each_applied, each_drained);
}

void WorkerPool::set_write_deadline(const std::string& cluster, Instant until) {
  for (std::size_t place = 0; place < inner_->places.size(); ++place) {
    if (inner_->places[place].cluster == cluster) inner_->clusters[place]->write_deadline.set(until);
  }
}

void WorkerPool::replace_tls(const std::string& cluster, const ClusterTls& tls) {
  for (std::size_t place = 0; place < inner_->places.size(); ++place) {
    if (inner_->places[place].cluster != cluster) continue;
    for (const auto& worker : inner_->workers) worker->set_tls(place, tls);
  }
}

void WorkerPool::go_on_accepting() {
  for (const auto& worker : inner_->workers) worker->go_on_accepting();
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

std::uint16_t WorkerPool::bound_port(const std::string& endpoint) const {
  return inner_->places[inner_->place_of(endpoint)].port;
}

Instant WorkerPool::last_bytes_from(const std::string& cluster, const std::string& node) const {
  Instant last{};
  for (std::size_t place = 0; place < inner_->places.size(); ++place) {
    if (inner_->places[place].cluster != cluster) continue;
    for (const auto& worker : inner_->workers) {
      const AccessPoint& access_point = worker->access_point(place);
      last = std::max(last, access_point.last_bytes_from(node));
    }
  }
  return last;
}

std::vector<Duration> WorkerPool::loop_lags() const {
  std::vector<Duration> lags;
  for (const auto& worker : inner_->workers) lags.push_back(worker->loop_lag());
  return lags;
}

void WorkerPool::count_states(std::function<void()> done) {
  constexpr Duration kCountEvery = std::chrono::seconds(1);
  auto& inner = *inner_;
  const Instant now = monotonic_now();
  if (!inner.running || now - inner.states_counted_at < kCountEvery) return done();
  inner.states_counted_at = now;
  const auto each_counted = inner.by_the_last(std::move(done));
  for (const auto& worker : inner.workers) {
    worker->count_states();
    worker->follow_up(each_counted);
  }
}

std::vector<ClusterSessionStats> WorkerPool::stats() const {
  std::vector<ClusterSessionStats> sums;
  for (std::size_t place = 0; place < inner_->places.size(); ++place) {
    const Inner::Place& at = inner_->places[place];
    if (at.endpoint == Endpoint::kWrite && !at.gone) sums.push_back(inner_->stats_of(place));
  }
  return sums;
}

std::map<std::string, std::uint64_t> WorkerPool::open_sessions() const {
  std::map<std::string, std::uint64_t> open;
  for (std::size_t place = 0; place < inner_->places.size(); ++place)
    open[inner_->places[place].name()] = inner_->stats_of(place).open;
  return open;
}

ReadOnlySessionStats WorkerPool::read_only_stats(const std::string& cluster) const {
  const std::size_t place = inner_->place_of(endpoint_name(cluster, Endpoint::kReadOnly));
  const SharedCluster& shared = *inner_->clusters[place];
  ReadOnlySessionStats stats{.sessions = inner_->stats_of(place), .by_node = {}};
  for (const std::string& node : shared.settings->nodes) stats.by_node[node] = shared.readers.sessions(node);
  return stats;
}

ClusterSessionStats WorkerPool::Inner::stats_of(std::size_t place) const {
  ClusterSessionStats sum;
  sum.cluster = places[place].cluster;
  for (const auto& worker : workers) worker->access_point(place).counters().add_to(sum);
  return sum;
}

}  // namespace pgkeel
