#include "proxy/session/access_point.h"

#include <algorithm>
#include <utility>

#include "proxy/base/log.h"
#include "proxy/io/loop.h"
#include "proxy/session/session.h"

namespace pgkeel {
namespace {

constexpr std::size_t kCancelsMax = 256;  // under way at a time; more are closed unheard
constexpr Duration kTellAgain = std::chrono::seconds(10);
constexpr Duration kLeftOut = std::chrono::seconds(1);

std::shared_ptr<const Route> no_route_yet() {
  return std::make_shared<const Route>(Route{.epoch = 0, .target = std::nullopt, .reason = "no primary is known yet"});
}

}  // namespace

AccessPoint::AccessPoint(WorkerServices services, SharedCluster& shared, std::function<void(LinkEvidence)> on_evidence,
                         std::function<void()> on_session_gone)
    : services_(services),
      shared_(shared),
      evidence_(std::move(on_evidence)),
      on_session_gone_(std::move(on_session_gone)),
      route_(no_route_yet()),
      tls_(shared.tls),
      waiting_room_(services.loop, shared.login_gate, counters_),
      reaper_(services.loop, [this] { reap(); }) {
  set_settings(shared.settings);
}

AccessPoint::~AccessPoint() = default;

void AccessPoint::accept(AcceptedClient client) {
  counters_.accepted.add();
  if (shutting_down_) {
    on_session_gone_();
    return;
  }
  client.socket.set_link_options();
  counters_.open.add();
  sessions_.push_back(std::make_unique<Session>(*this, std::move(client)));
  sessions_.back()->set_place(std::prev(sessions_.end()));
  sessions_.back()->become_newcomer();
}

void AccessPoint::set_settings(std::shared_ptr<const AccessSettings> settings) {
  settings_ = std::move(settings);
  for (const auto& node : settings_->nodes) {
    if (node_index(node) == node_signs_.size()) node_signs_.emplace_back(node);
  }
}

void AccessPoint::review_acknowledge_limits() {
  for (const auto& session : sessions_) session->review_acknowledge_limits();
}

void AccessPoint::set_route(std::shared_ptr<const Route> route, std::function<void()> on_drained) {
  const bool same_server =
      route->epoch == route_->epoch && route->target == route_->target && route->readers == route_->readers;
  const bool same = same_server && route->mode == route_->mode;
  const std::uint64_t epoch_before = route_->epoch;
  route_ = std::move(route);
  if (same) return;
  on_drained_ = nullptr;
  waiting_room_.close_doors();
  for (auto at = sessions_.begin(); at != sessions_.end();) {
    Session& session = **at++;
    session.follow_route();
  }
  if (!same_server) {
    abandon_cancels([&](const RouteTarget& server) {
      const RouteTarget* leads_to = route_->server_of(server.node);
      return route_->epoch == epoch_before && leads_to != nullptr && *leads_to == server;
    });
  }
  const bool drains = route_->mode == RouteMode::kDraining;
  waiting_room_.open_doors(route_->leads_somewhere() && !drains && !shutting_down_, drains);
  if (!drains) return;
  on_drained_ = std::move(on_drained);
  if (counters_.drain_awaits.value() == 0) std::exchange(on_drained_, nullptr)();
}

void AccessPoint::await_drain() {
  counters_.drain_awaits.add();
}

void AccessPoint::session_drained() {
  counters_.drain_awaits.subtract();
  if (counters_.drain_awaits.value() == 0 && on_drained_) std::exchange(on_drained_, nullptr)();
}

void AccessPoint::end_behind_transactions(const std::string& cause) {
  ending_cause_ = cause;
  for (auto at = sessions_.begin(); at != sessions_.end();) {
    Session& session = **at++;
    session.leave();
  }
}

void AccessPoint::shut_down(const std::string& cause) {
  shutting_down_ = true;
  waiting_room_.close_doors();
  for (auto at = sessions_.begin(); at != sessions_.end();) {
    Session& session = **at++;
    session.shut_down(cause);
  }
  abandon_all_cancels();
}

void AccessPoint::end_clients_of(const IpAddress& address, const std::string& cause) {
  for (auto at = sessions_.begin(); at != sessions_.end();) {
    Session& session = **at++;
    if (session.came_by(address)) session.shut_down(cause);
  }
}

void AccessPoint::remove(const std::string& cause) {
  gone_ = true;
  shut_down(cause);
}

std::vector<MovedSession> AccessPoint::move_out() {
  std::vector<MovedSession> moved;
  for (auto at = sessions_.begin(); at != sessions_.end();) {
    Session& session = **at++;
    if (session.may_move()) moved.push_back(session.move_out());
  }
  return moved;
}

void AccessPoint::leave(Leaver goes, KeyWitness stays) {
  goes_ = std::move(goes);
  stays_ = std::move(stays);
  for (auto at = sessions_.begin(); at != sessions_.end();) {
    Session& session = **at++;
    session.leave();
  }
}

void AccessPoint::stay() {
  goes_ = nullptr;
  stays_ = nullptr;
}

void AccessPoint::login_stays(const CancelKey& key, const CancelRegistry::Owner& owner) {
  if (stays_) stays_(key, owner);
}

void AccessPoint::give_away(Session& session) {
  goes_(session.move_out());
}

void AccessPoint::take_over(AcceptedClient client, MovedSession moved) {
  if (shutting_down_) {
    on_session_gone_();
    return;
  }
  client.socket.set_link_options();
  counters_.open.add();
  sessions_.push_back(std::make_unique<Session>(*this, std::move(client), std::move(moved)));
  sessions_.back()->set_place(std::prev(sessions_.end()));
  sessions_.back()->go_on_here();
}

void AccessPoint::reopen() {
  route_ = no_route_yet();
  waiting_room_.open_doors(false, false);
  shutting_down_ = false;
  gone_ = false;
}

void AccessPoint::close_all() {
  waiting_room_.close_doors();
  for (auto at = sessions_.begin(); at != sessions_.end();) {
    Session& session = **at++;
    session.vanish();
  }
  abandon_all_cancels();
  reap();
}

void AccessPoint::count_states() {
  SessionsByState counts;
  for (const auto& session : sessions_) session->count_state(counts);
  counters_.idle.set(counts.idle);
  counters_.in_transaction.set(counts.in_transaction);
  counters_.busy.set(counts.busy);
  counters_.in_commit.set(counts.in_commit);
}

Instant AccessPoint::last_bytes_from(const std::string& node) const {
  const std::size_t index = node_index(node);
  if (index >= node_signs_.size()) return Instant{};
  return Instant(Duration(node_signs_[index].last_bytes.load(std::memory_order_relaxed)));
}

std::size_t AccessPoint::node_index(const std::string& node) const {
  const auto at = std::ranges::find(node_signs_, node, &NodeSigns::node);
  return static_cast<std::size_t>(at - node_signs_.begin());
}

ReadTarget AccessPoint::choose_server() {
  if (route_->target) return {.server = *route_->target, .is_primary = true, .takes_new = true};
  const Instant now = services_.loop.now();
  const auto is_left_out = [&](const ReadTarget& reader) {
    return node_signs_[node_index(reader.server.node)].left_out_until > now;
  };
  const auto sessions_of = [&](const ReadTarget& reader) { return shared_.readers.sessions(reader.server.node); };
  return choose_reader(route_->readers, is_left_out, sessions_of, shared_.readers.next_turn());
}

bool AccessPoint::turn_elsewhere(std::size_t failed_index) {
  if (shared_.endpoint != Endpoint::kReadOnly || failed_index >= node_signs_.size()) return false;
  const Instant now = services_.loop.now();
  node_signs_[failed_index].left_out_until = now + kLeftOut;
  return std::ranges::any_of(route_->readers, [&](const ReadTarget& reader) {
    return reader.takes_new && node_signs_[node_index(reader.server.node)].left_out_until <= now;
  });
}

void AccessPoint::heard_from(std::size_t node_index, Instant now) {
  if (node_index >= node_signs_.size()) return;
  auto& last = node_signs_[node_index].last_bytes;
  const auto since_start = now.time_since_epoch().count();
  if (last.load(std::memory_order_relaxed) != since_start) last.store(since_start, std::memory_order_relaxed);
}

void AccessPoint::report(LinkEvidence::Kind kind, const std::string& node, std::uint64_t epoch, std::string detail) {
  evidence_.report({.cluster = shared_.name, .node = node, .epoch = epoch, .kind = kind, .detail = std::move(detail)},
                   services_.loop.now());
}

// Port scans fail too: the counter has them all, the log one now and then.
void AccessPoint::handshake_failed(const IpAddress& peer, const std::string& problem) {
  counters_.client_handshakes_failed.add();
  const Instant now = services_.loop.now();
  if (handshake_failure_told_at_ != Instant{} && now - handshake_failure_told_at_ < kTellAgain) return;
  handshake_failure_told_at_ = now;
  log(LogLevel::kInfo, shared_.name,
      "the TLS handshake with client " + format_ip_address(peer) + " failed: " + problem);
}

void AccessPoint::forward_cancel(AcceptedClient client, const CancelKey& key, std::string packet) {
  const auto owner = shared_.cancel_registry.find(key);
  // The client's connection ends here and now: it need not wait until somebody is found.
  if (!owner && shared_.on_strange_cancel && !shutting_down_)
    shared_.on_strange_cancel(key, client.peer, services_.loop.now());
  const bool may_be_sent =
      owner && owner->epoch == route_->epoch && route_->server_of(owner->node) != nullptr && !shutting_down_;
  if (!may_be_sent || cancels_.size() >= kCancelsMax || !client.descriptors.grow()) return;
  const std::uint64_t number = ++cancels_begun_;
  auto forwarder = std::make_unique<CancelForwarder>(
      services_.loop, shared_.write_deadline, std::move(client), std::move(packet),
      [this, number](CancelForwarder::End end) {
        if (end == CancelForwarder::End::kForwarded) counters_.cancels_forwarded.add();
        if (end == CancelForwarder::End::kNotAllowed) counters_.cancels_held_back.add();
        retired_cancels_.push_back(std::move(cancels_.extract(number).mapped().forwarder));
        reaper_.start_once(Duration::zero());
      });
  cancels_[number] = {*route_->server_of(owner->node), std::move(forwarder)};
  if (!settings_->keeps_commit_waits) {
    cancel_answered(number, true);
    return;
  }
  services_.cancel_judge({.cluster = shared_.name, .node = owner->node, .process_id = key.process_id},
                         [this, number](bool may_go) { cancel_answered(number, may_go); });
}

void AccessPoint::cancel_answered(std::uint64_t number, bool may_go) {
  const auto cancel = cancels_.find(number);
  if (cancel == cancels_.end()) return;  // it took too long, or the route has changed
  const auto& [server, forwarder] = cancel->second;
  if (may_go)
    forwarder->start(services_.resolver, server.address, tls_.servers);
  else
    forwarder->refuse();
}

void AccessPoint::retire(Session& session) {
  retired_sessions_.splice(retired_sessions_.end(), sessions_, session.place());
  counters_.open.subtract();
  reaper_.start_once(Duration::zero());
  on_session_gone_();
}

void AccessPoint::abandon_cancels(const std::function<bool(const RouteTarget& server)>& stays) {
  for (auto at = cancels_.begin(); at != cancels_.end();) {
    const auto cancel = at++;
    if (stays(cancel->second.server)) continue;
    cancel->second.forwarder->abandon();
    retired_cancels_.push_back(std::move(cancel->second.forwarder));
    cancels_.erase(cancel);
  }
  reaper_.start_once(Duration::zero());
}

void AccessPoint::reap() {
  retired_sessions_.clear();
  retired_cancels_.clear();
}

}  // namespace pgkeel
