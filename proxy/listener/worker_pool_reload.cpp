// The part of WorkerPool that follows a reload.
#include <algorithm>
#include <cassert>
#include <iterator>
#include <utility>

#include "proxy/listener/worker_pool_inner.h"

namespace pgkeel {
namespace {

// Copies of the sockets that are left, for those who shall listen there next; the names are those of their descriptors.
Result<std::vector<NamedSocket>> copies_of(const std::vector<int>& descriptors, std::vector<PortShare>& shares) {
  std::vector<NamedSocket> copies;
  for (const int descriptor : descriptors) {
    auto copy = duplicate_socket(descriptor);
    auto to_share = duplicate_socket(descriptor);
    if (!copy || !to_share) return Error{"no descriptor is left to prepare the reload with"};
    copies.push_back({std::to_string(descriptor), std::move(*copy)});
    shares.emplace_back(std::move(*to_share));
  }
  return copies;
}

}  // namespace

Result<std::shared_ptr<AccessChange>> WorkerPool::prepare_reload(const ProxyConfig& proxy,
                                                                 const std::vector<ClusterConfig>& clusters) {
  auto& inner = *inner_;
  if (!inner.running) return Error{"pgkeel is shutting down"};
  auto change = std::make_shared<AccessChange>();
  change->proxy = proxy;
  auto plan = inner.plan_for(inner.workers.size(), proxy, clusters);
  if (!plan) return plan.error();
  change->plan = *plan;
  for (const auto& config : clusters) {
    auto endpoints = prepare_access(config);
    if (!endpoints) return endpoints.error();
    std::ranges::move(*endpoints, std::back_inserter(change->endpoints));
  }
  const auto left = inner.left_by(change->endpoints);
  auto free_again = copies_of(left, change->shares);
  if (!free_again) return free_again.error();
  for (Access& access : change->endpoints) {
    const auto place = inner.find(endpoint_name(access.cluster, access.endpoint));
    if (place && !inner.places[*place].gone && inner.places[*place].listen == access.listen) continue;
    if (const auto bound = bind_access(access, *free_again, Duration::zero()); !bound) return bound.error();
    for (const auto& socket : access.bound) {
      if (auto copy = duplicate_socket(socket.descriptor())) change->shares.emplace_back(std::move(*copy));
    }
  }
  for (const int descriptor : left) {
    if (std::ranges::find(*free_again, std::to_string(descriptor), &NamedSocket::name) == free_again->end())
      change->handed_on.push_back(descriptor);
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
  for (auto& access : change.endpoints) {
    const std::size_t place = inner.make_place_for(access);
    const std::size_t acceptor = inner.acceptor_of(place);
    for (std::size_t number = 0; number < inner.workers.size(); ++number) {
      inner.workers[number]->run([&](Worker& its) {
        its.own_access_point(place).set_settings(access.settings);
        its.own_access_point(place).set_tls(access.tls);
        if (number == acceptor && !access.bound.empty())
          its.replace_listener(place, std::move(access.bound), inner.room(), inner.on_client(place), change.handed_on);
      });
    }
  }
  // Behind the others: whoever has the port of one that goes listens already.
  for (std::size_t place = 0; place < inner.places.size(); ++place) {
    const bool stays = std::ranges::any_of(change.endpoints, [&](const Access& access) {
      return access.cluster == inner.places[place].cluster && access.endpoint == inner.places[place].endpoint;
    });
    if (!stays && !inner.places[place].gone) inner.close_place(place, change.handed_on);
  }
  for (const auto& worker : inner.workers)
    worker->run([&](Worker& its) { its.set_limits(change.proxy, change.plan.clients); });
}

// Descriptors of the sockets at which nobody shall listen any more as they do now.
std::vector<int> WorkerPool::Inner::left_by(const std::vector<Access>& wanted) const {
  std::vector<int> left;
  for (const Place& place : places) {
    const bool stays = std::ranges::any_of(wanted, [&](const Access& access) {
      return access.cluster == place.cluster && access.endpoint == place.endpoint && access.listen == place.listen;
    });
    if (!stays && !place.gone) left.insert(left.end(), place.listening.begin(), place.listening.end());
  }
  return left;
}

void WorkerPool::Inner::close_place(std::size_t place, const std::vector<int>& handed_on) {
  Place& at = places[place];
  at.gone = true;
  at.listening.clear();
  const std::string what = at.endpoint == Endpoint::kReadOnly ? "the read-only endpoint of cluster \"" : "cluster \"";
  const std::string cause = what + at.cluster + "\" was removed from the configuration of pgkeel";
  for (const auto& worker : workers) {
    worker->run([&](Worker& its) {
      its.remove_listener(place, handed_on);
      its.own_access_point(place).remove(cause);
    });
  }
}

// Of an endpoint that shall be there: as it was, or anew.
std::size_t WorkerPool::Inner::make_place_for(const Access& access) {
  auto place = find(endpoint_name(access.cluster, access.endpoint));
  if (!place) {
    place = add_place(access);
    for (const auto& worker : workers) worker->run([&](Worker& its) { its.add_cluster(*clusters.back()); });
  } else if (places[*place].gone) {
    places[*place].gone = false;
    places[*place].route = {};
    places[*place].has_led_somewhere = false;
    for (const auto& worker : workers) worker->run([&](Worker& its) { its.own_access_point(*place).reopen(); });
  }
  Place& at = places[*place];
  at.listen = access.listen;
  clusters[*place]->settings = access.settings;
  clusters[*place]->tls = access.tls;
  clusters[*place]->login_gate.set_rate(proxy.login_rate);
  if (!access.bound.empty()) {
    at.port = access.bound.front().bound_port();
    at.listening = descriptors_of(access.bound);
  }
  return *place;
}

}  // namespace pgkeel
