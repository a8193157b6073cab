// The part of WorkerPool that follows a reload.
#include <algorithm>
#include <cassert>
#include <utility>

#include "proxy/listener/worker_pool_inner.h"

namespace pgkeel {

Result<std::shared_ptr<AccessChange>> WorkerPool::prepare_reload(const ProxyConfig& proxy,
                                                                 const std::vector<ClusterConfig>& clusters) {
  auto& inner = *inner_;
  if (!inner.running) return Error{"pgkeel is shutting down"};
  auto change = std::make_shared<AccessChange>();
  change->proxy = proxy;
  auto plan = inner.plan_for(inner.workers.size(), proxy, clusters);
  if (!plan) return plan.error();
  change->plan = *plan;
  std::vector<NamedSocket> inherited;
  for (const auto& config : clusters) {
    const auto place = inner.find(config.name);
    const bool listens = place && !inner.gone[*place] && inner.configs[*place].listen == config.listen;
    auto cluster = prepare_access(config, !listens, inherited);
    if (!cluster) return cluster.error();
    change->clusters.push_back(std::move(*cluster));
  }
  return change;
}

void WorkerPool::reload(AccessChange& change) {
  auto& inner = *inner_;
  assert(inner.running);
  inner.proxy = change.proxy;
  inner.descriptors->change_by(std::int64_t{change.plan.data_path} - inner.plan.data_path);
  inner.newcomers->change_by(std::int64_t{change.plan.newcomers} - inner.plan.newcomers);
  inner.plan = change.plan;
  inner.tell_of_plan();
  for (std::size_t index = 0; index < inner.configs.size(); ++index) {
    const std::string& name = inner.configs[index].name;
    const bool stays = std::ranges::any_of(
        change.clusters, [&](const AccessChange::Cluster& cluster) { return cluster.config.name == name; });
    if (stays || inner.gone[index]) continue;
    inner.gone[index] = true;
    inner.listening[index].clear();
    for (const auto& worker : inner.workers) {
      worker->run([&](Worker& its) {
        its.remove_listener(index);
        its.own_access_point(index).shut_down("cluster \"" + name + "\" was removed from the configuration of pgkeel");
      });
    }
  }
  for (auto& cluster : change.clusters) {
    const std::size_t index = inner.make_place_for(cluster);
    const std::size_t acceptor = inner.acceptor_of(index);
    for (std::size_t number = 0; number < inner.workers.size(); ++number) {
      inner.workers[number]->run([&](Worker& its) {
        its.own_access_point(index).set_settings(cluster.settings);
        its.own_access_point(index).set_tls(cluster.tls);
        if (number == acceptor && !cluster.bound.empty())
          its.replace_listener(index, std::move(cluster.bound), inner.room(), inner.on_client(index));
      });
    }
  }
  for (const auto& worker : inner.workers)
    worker->run([&](Worker& its) { its.set_limits(change.proxy, change.plan.clients); });
}

// Of a cluster that shall be there: as it was, or anew.
std::size_t WorkerPool::Inner::make_place_for(const AccessChange::Cluster& cluster) {
  auto place = find(cluster.config.name);
  if (!place) {
    place = configs.size();
    configs.emplace_back();
    ports.emplace_back();
    listening.emplace_back();
    routes.emplace_back();
    has_led_somewhere.push_back(false);
    gone.push_back(false);
    clusters.push_back(
        std::make_unique<SharedCluster>(cluster.config.name, cluster.settings, cluster.tls, proxy.login_rate));
    for (const auto& worker : workers) worker->run([&](Worker& its) { its.add_cluster(*clusters.back()); });
  } else if (gone[*place]) {
    gone[*place] = false;
    routes[*place] = {};
    has_led_somewhere[*place] = false;
    for (const auto& worker : workers) worker->run([&](Worker& its) { its.own_access_point(*place).reopen(); });
  }
  configs[*place] = cluster.config;
  clusters[*place]->settings = cluster.settings;
  clusters[*place]->tls = cluster.tls;
  clusters[*place]->login_gate.set_rate(proxy.login_rate);
  if (!cluster.bound.empty()) {
    ports[*place] = cluster.bound.front().bound_port();
    listening[*place] = descriptors_of(cluster.bound);
  }
  return *place;
}

}  // namespace pgkeel
