#include "proxy/listener/worker.h"

#include <algorithm>
#include <future>
#include <utility>

namespace pgkeel {
namespace {

constexpr Duration kAcknowledgeReview = std::chrono::seconds(20);

}  // namespace

Worker::Worker(const ProxyConfig& limits, const WorkerShare& share,
               const std::vector<std::unique_ptr<SharedCluster>>& clusters,
               const std::function<void(LinkEvidence)>& on_evidence, const CancelJudge& cancel_judge,
               const VerifierSource& verifier_source, std::function<void()> on_drained)
    : limits_(limits),
      clients_max_(share.clients_max),
      wakeup_(loop_),
      resolver_(std::in_place, loop_),
      read_buffer_(std::make_unique<std::array<std::byte, kReadBufferBytes>>()),
      on_drained_(std::move(on_drained)),
      cancel_judge_([this, cancel_judge](CancelQuestion question, CancelAnswer answer) {
        cancel_judge(std::move(question), [this, answer = std::move(answer)](bool may_go) {
          wakeup_.post([answer, may_go] { answer(may_go); });
        });
      }),
      verifier_source_([this, verifier_source](VerifierQuestion question, VerifierSink sink) {
        verifier_source(std::move(question), [this, sink = std::move(sink)](VerifierAnswer answer) {
          wakeup_.post([sink, answer = std::move(answer)] { sink(answer); });
        });
      }),
      unproven_(share.unproven, clients_max_),
      services_{loop_,     *resolver_,    std::span(*read_buffer_), limits_, share.clients, clients_max_, newcomers_,
                unproven_, cancel_judge_, verifier_source_},
      on_evidence_(on_evidence),
      acknowledge_review_(loop_, kAcknowledgeReview, [this] {
        for (const auto& access_point : access_points_) access_point->review_acknowledge_limits();
      }) {
  for (const auto& cluster : clusters) add_cluster(*cluster);
}

Worker::~Worker() = default;

void Worker::add_listener(std::size_t cluster, std::vector<Socket> bound, Listener::Room room,
                          Listener::OnClient on_client) {
  listeners_[cluster] = std::make_unique<Listener>(loop_, std::move(bound), std::move(room), std::move(on_client));
  listeners_[cluster]->pause();
  if (limits_.no_route == NoRoutePolicy::kHold) listeners_[cluster]->open();
}

void Worker::run(const std::function<void(Worker&)>& task) {
  std::promise<void> done;
  wakeup_.post([&] {
    task(*this);
    done.set_value();
  });
  done.get_future().wait();
}

void Worker::set_limits(const ProxyConfig& limits, std::uint32_t clients_max) {
  limits_ = limits;
  clients_max_ = clients_max;
  for (std::size_t cluster = 0; cluster < listeners_.size(); ++cluster) {
    if (listeners_[cluster]) follow_route(*listeners_[cluster], access_points_[cluster]->route());
  }
}

void Worker::add_cluster(SharedCluster& cluster) {
  access_points_.push_back(std::make_unique<AccessPoint>(services_, cluster, on_evidence_, [this] { session_gone(); }));
  listeners_.emplace_back();
}

void Worker::replace_listener(std::size_t cluster, std::vector<Socket> bound, Listener::Room room,
                              Listener::OnClient on_client, const std::vector<int>& handed_on) {
  auto listener = std::make_unique<Listener>(loop_, std::move(bound), std::move(room), std::move(on_client));
  if (!accepting_) listener->pause();
  // Before the former one closes: nobody is refused in between where their addresses overlap.
  follow_route(*listener, access_points_[cluster]->route());
  remove_listener(cluster, handed_on);
  listeners_[cluster] = std::move(listener);
}

void Worker::remove_listener(std::size_t cluster, const std::vector<int>& handed_on) {
  if (listeners_[cluster]) listeners_[cluster]->take_in_and_close(handed_on);
  listeners_[cluster].reset();
}

void Worker::start() {
  thread_ = std::thread([this] { loop_.run(); });
}

void Worker::join() {
  if (thread_.joinable()) thread_.join();
}

void Worker::accept_here(std::size_t cluster, AcceptedClient client) {
  load_.fetch_add(1, std::memory_order_relaxed);
  access_points_[cluster]->accept(std::move(client));
}

void Worker::accept_there(std::size_t cluster, AcceptedClient client) {
  load_.fetch_add(1, std::memory_order_relaxed);
  // A function that is posted must be copyable, and a socket is not.
  const auto shared_client = std::make_shared<AcceptedClient>(std::move(client));
  wakeup_.post([this, cluster, shared_client] { access_points_[cluster]->accept(std::move(*shared_client)); });
}

void Worker::make_room() {
  wakeup_.post([this] { newcomers_.make_room(loop_.now()); });
}

void Worker::set_route(std::size_t cluster, std::shared_ptr<const Route> route, std::function<void()> done,
                       std::function<void()> drained) {
  wakeup_.post([this, cluster, route = std::move(route), done = std::move(done), drained = std::move(drained)] {
    if (listeners_[cluster]) follow_route(*listeners_[cluster], *route);
    access_points_[cluster]->set_route(route, drained);
    done();
  });
}

void Worker::set_tls(std::size_t cluster, ClusterTls tls) {
  wakeup_.post([this, cluster, tls = std::move(tls)] { access_points_[cluster]->set_tls(tls); });
}

void Worker::follow_route(Listener& listener, const Route& route) const {
  if (doors_are_closed_) return;
  if (route.leads_somewhere() || route.mode != RouteMode::kNormal || limits_.no_route == NoRoutePolicy::kHold)
    listener.open();
  else
    listener.close();
}

void Worker::pause_accepting(std::function<void()> done) {
  wakeup_.post([this, done = std::move(done)] {
    accepting_ = false;
    for (const auto& listener : listeners_) {
      if (listener) listener->pause();
    }
    done();
  });
}

void Worker::go_on_accepting() {
  wakeup_.post([this] {
    if (shutting_down_) return;
    accepting_ = true;
    const bool doors_were_closed = std::exchange(doors_are_closed_, false);  // when a handover began
    for (std::size_t cluster = 0; cluster < listeners_.size(); ++cluster) {
      if (!listeners_[cluster]) continue;
      listeners_[cluster]->go_on();
      if (doors_were_closed) follow_route(*listeners_[cluster], access_points_[cluster]->route());
    }
  });
}

void Worker::drop_listeners() {
  wakeup_.post([this] {
    for (auto& listener : listeners_) listener.reset();
  });
}

void Worker::move_out(std::function<void(std::size_t, std::vector<MovedSession>)> moved) {
  wakeup_.post([this, moved = std::move(moved)] {
    for (std::size_t cluster = 0; cluster < access_points_.size(); ++cluster)
      moved(cluster, access_points_[cluster]->move_out());
  });
}

void Worker::leave(const std::function<void(std::size_t, MovedSession)>& goes,
                   const std::function<void(std::size_t, const CancelKey&, const CancelRegistry::Owner&)>& stays,
                   std::function<void()> done) {
  wakeup_.post([this, goes, stays, done = std::move(done)] {
    for (std::size_t cluster = 0; cluster < access_points_.size(); ++cluster) {
      access_points_[cluster]->leave(
          [goes, cluster](MovedSession session) { goes(cluster, std::move(session)); },
          [stays, cluster](const CancelKey& key, const CancelRegistry::Owner& owner) { stays(cluster, key, owner); });
    }
    done();
  });
}

void Worker::stay() {
  wakeup_.post([this] {
    for (const auto& access_point : access_points_) access_point->stay();
  });
}

void Worker::take_over(std::size_t cluster, AcceptedClient client, MovedSession moved) {
  load_.fetch_add(1, std::memory_order_relaxed);
  const auto shared = std::make_shared<std::pair<AcceptedClient, MovedSession>>(std::move(client), std::move(moved));
  wakeup_.post([this, cluster, shared] {
    access_points_[cluster]->take_over(std::move(shared->first), std::move(shared->second));
  });
}

void Worker::forward_cancel(std::size_t cluster, AcceptedClient client, const CancelKey& key) {
  const auto shared = std::make_shared<AcceptedClient>(std::move(client));
  wakeup_.post([this, cluster, key, shared] {
    access_points_[cluster]->forward_cancel(std::move(*shared), key, build_cancel_request(key));
  });
}

void Worker::follow_up(std::function<void()> done) {
  wakeup_.post(std::move(done));
}

void Worker::count_states() {
  wakeup_.post([this] {
    for (const auto& access_point : access_points_) access_point->count_states();
  });
}

void Worker::close_doors(AtTheDoor newcomers) {
  wakeup_.post([this, newcomers] {
    doors_are_closed_ = true;
    for (const auto& listener : listeners_) {
      if (listener) listener->close_door(newcomers);
    }
  });
}

void Worker::turn_deaf_to(const std::optional<IpAddress>& address) {
  wakeup_.post([this, address] {
    for (const auto& listener : listeners_) {
      if (listener) listener->turn_deaf_to(address);
    }
  });
}

void Worker::end_clients_of(const IpAddress& address, const std::string& cause) {
  wakeup_.post([this, address, cause] {
    for (const auto& access_point : access_points_) access_point->end_clients_of(address, cause);
  });
}

void Worker::end_behind_transactions(const std::string& cause) {
  wakeup_.post([this, cause] {
    for (const auto& access_point : access_points_) access_point->end_behind_transactions(cause);
  });
}

void Worker::shut_down(bool keep_listening) {
  wakeup_.post([this, keep_listening] {
    shutting_down_ = true;
    if (!std::exchange(doors_are_closed_, true)) {
      for (const auto& listener : listeners_) {
        if (!listener) continue;
        if (keep_listening)
          listener->pause();
        else
          listener->close();
      }
    }
    for (const auto& access_point : access_points_) access_point->shut_down("pgkeel is shutting down");
    load_.fetch_add(1, std::memory_order_relaxed);
    session_gone();
  });
}

void Worker::session_gone() {
  const bool last = load_.fetch_sub(1, std::memory_order_relaxed) == 1;
  if (last && shutting_down_ && !std::exchange(drained_, true)) on_drained_();
}

void Worker::quit() {
  wakeup_.post([this] {
    listeners_.clear();
    for (const auto& access_point : access_points_) access_point->close_all();
    loop_.stop();
  });
}

}  // namespace pgkeel
