// The part of WorkerPool that gives its sessions to another process, and takes those of one.
#include <cassert>
#include <mutex>
#include <utility>

#include "proxy/listener/worker_pool_inner.h"

namespace pgkeel {

std::vector<NamedSocket> WorkerPool::listening_sockets() const {
  std::vector<NamedSocket> sockets;
  for (const Inner::Place& place : inner_->places) {
    for (const int descriptor : place.listening) {
      if (auto copy = duplicate_socket(descriptor)) sockets.push_back({socket_name(place.name()), std::move(*copy)});
    }
  }
  return sockets;
}

void WorkerPool::move_out(std::function<void(Moved)> moved) {
  auto& inner = *inner_;
  struct Collected {
    std::mutex mutex;
    std::vector<std::pair<std::size_t, MovedSession>> sessions;  // with their places
  };
  const auto collected = std::make_shared<Collected>();
  const auto each_moved = inner.by_the_last([&inner, collected, moved = std::move(moved)] {
    Moved sessions;
    for (auto& [place, session] : collected->sessions)
      sessions.emplace_back(inner.places[place].name(), std::move(session));
    moved(std::move(sessions));
  });
  const auto take_out = inner.by_the_last([&inner, collected, each_moved] {
    for (const auto& worker : inner.workers) {
      worker->move_out([collected](std::size_t place, std::vector<MovedSession> sessions) {
        const std::lock_guard lock(collected->mutex);
        for (auto& session : sessions) collected->sessions.emplace_back(place, std::move(session));
      });
      worker->follow_up(each_moved);
    }
  });
  for (const auto& worker : inner.workers) worker->pause_accepting(take_out);
}

void WorkerPool::leave(Goes goes, Stays stays) {
  auto& inner = *inner_;
  const auto each_goes = [&inner, goes = std::move(goes)](std::size_t place, MovedSession moved) {
    const auto session = std::make_shared<MovedSession>(std::move(moved));
    inner.control.post([&inner, goes, place, session] { goes(inner.places[place].name(), std::move(*session)); });
  };
  const auto each_stays = [&inner, stays](std::size_t place, const CancelKey& key, const CancelRegistry::Owner& owner) {
    inner.control.post([&inner, stays, place, key, owner] { stays(inner.places[place].name(), key, owner); });
  };
  const auto all_told = inner.by_the_last([&inner, stays = std::move(stays)] {
    for (std::size_t place = 0; place < inner.places.size(); ++place) {
      for (const auto& [key, owner] : inner.clusters[place]->cancel_registry.entries())
        stays(inner.places[place].name(), key, owner);
    }
  });
  for (const auto& worker : inner.workers) worker->leave(each_goes, each_stays, all_told);
}

void WorkerPool::stay() {
  for (const auto& worker : inner_->workers) worker->stay();
}

void WorkerPool::drop_listeners() {
  for (auto& place : inner_->places) place.listening.clear();
  for (const auto& worker : inner_->workers) worker->drop_listeners();
}

void WorkerPool::take_over(const std::string& endpoint, MovedSession moved) {
  auto& inner = *inner_;
  AcceptedClient client;
  client.descriptors = inner.descriptors->take();
  if (!moved.established) client.place = inner.newcomers->take();
  client.socket = std::move(moved.client);
  client.peer = client.socket.peer().ip();
  inner.workers[inner.least_loaded_worker()]->take_over(*inner.find(endpoint), std::move(client), std::move(moved));
}

void WorkerPool::add_cancel_key(const std::string& endpoint, const CancelKey& key, const CancelRegistry::Owner& owner) {
  const std::size_t place = *inner_->find(endpoint);
  inner_->added_keys.push_back({place, key, inner_->clusters[place]->cancel_registry.add(key, owner)});
}

void WorkerPool::forget_added_keys() {
  for (const auto& added : inner_->added_keys)
    inner_->clusters[added.place]->cancel_registry.remove(added.key, added.entry);
  inner_->added_keys.clear();
}

bool WorkerPool::has_endpoint(const std::string& endpoint) const {
  const auto place = inner_->find(endpoint);
  return place && !inner_->places[*place].gone;
}

void WorkerPool::end_clients_of(const IpAddress& address, const std::string& cause) {
  for (const auto& worker : inner_->workers) worker->end_clients_of(address, cause);
}

void WorkerPool::close_doors(AtTheDoor newcomers) {
  for (const auto& worker : inner_->workers) worker->close_doors(newcomers);
}

void WorkerPool::turn_deaf_to(const std::optional<IpAddress>& address) {
  for (const auto& worker : inner_->workers) worker->turn_deaf_to(address);
}

std::uint64_t WorkerPool::logins_under_way() const {
  std::uint64_t logins = 0;
  for (std::size_t place = 0; place < inner_->places.size(); ++place) {
    const ClusterSessionStats stats = inner_->stats_of(place);
    // The workers count on while they are asked.
    logins += stats.open - std::min(stats.open, stats.established + stats.held + stats.closing);
  }
  return logins;
}

std::uint64_t WorkerPool::silent_clients() const {
  std::uint64_t clients = 0;
  for (std::size_t place = 0; place < inner_->places.size(); ++place) clients += inner_->stats_of(place).silent;
  return clients;
}

std::uint64_t WorkerPool::established_sessions() const {
  std::uint64_t sessions = 0;
  for (std::size_t place = 0; place < inner_->places.size(); ++place) sessions += inner_->stats_of(place).established;
  return sessions;
}

void WorkerPool::end_behind_transactions(const std::string& cause) {
  for (const auto& worker : inner_->workers) worker->end_behind_transactions(cause);
}

void WorkerPool::follow_up(std::function<void()> done) {
  const auto each = inner_->by_the_last(std::move(done));
  for (const auto& worker : inner_->workers) worker->follow_up(each);
}

}  // namespace pgkeel
