// The part of Application that takes over from another process, and that gives to one: proxy/handover/README.md.
#include <algorithm>
#include <filesystem>
#include <unistd.h>
#include <utility>

#include "proxy/app/application.h"
#include "proxy/base/version.h"

namespace pgkeel {
namespace {

using namespace std::chrono_literals;

constexpr Duration kHandoverDrainLook = 100ms;
constexpr Duration kQuietLook = 5ms;
constexpr Duration kQuietIsWaitedFor = 1s;
constexpr Duration kEtcdIsWaitedFor = 5s;  // that is slow; everything goes on meanwhile

void nothing_to_do() {}

std::string count_of(std::size_t count, const std::string& what) {
  return std::to_string(count) + " " + what + (count == 1 ? "" : "s");
}

}  // namespace

// ---- this process takes over ----

void Application::record_takeover(pid_t former, const std::optional<Inheritance>& inheritance, bool it_lives) {
  std::string text = "process " + std::to_string(::getpid()) + " (pgkeel " + std::string(pgkeel_version()) +
                     ") takes over from process " + std::to_string(former) + ": ";
  if (inheritance) text += count_of(inheritance->sessions.size(), "connection") + " come along at once";
  if (!it_lives) text += std::string(inheritance ? "; " : "") + "it has died, and what it had not given is lost";
  record(it_lives ? LogLevel::kInfo : LogLevel::kWarning, "handover", text);
}

void Application::take_over(Inheritance inheritance, std::optional<FormerHandle> former) {
  for (const auto& [endpoint, route] : inheritance.routes)
    workers_->publish_route(endpoint, route, nothing_to_do, nothing_to_do);
  for (auto& [endpoint, session] : inheritance.sessions) {
    if (workers_->has_endpoint(endpoint)) workers_->take_over(endpoint, std::move(session));
  }
  if (former) {
    const pid_t pid = former->pid;
    add_former(std::move(*former));
    formers_.at(pid)->say_serving();
  }
  for (auto& handle : inheritance.formers) add_former(std::move(handle));
}

Result<void> Application::end_lost_formers() {
  const auto killed = FormerMark::end_all(config_.state_directory);
  if (!killed) return killed.error();
  for (const pid_t pid : *killed) {
    log(LogLevel::kWarning, "handover",
        "the former process " + std::to_string(pid) +
            " was ended by force: it had sessions still, and did not end with the process that had taken over from it");
  }
  return {};
}

void Application::add_former(FormerHandle handle) {
  const pid_t pid = handle.pid;
  FormerProcess::Callbacks callbacks;
  callbacks.session = [this](const std::string& endpoint, MovedSession session) {
    if (workers_->has_endpoint(endpoint)) workers_->take_over(endpoint, std::move(session));
  };
  callbacks.stays = [this](const std::string& endpoint, const CancelKey& key, const CancelRegistry::Owner& owner) {
    if (workers_->has_endpoint(endpoint)) workers_->add_cancel_key(endpoint, key, owner);
  };
  callbacks.is_main = [this] { tell_service_manager(); };
  callbacks.gone = [this, pid](const std::string& reason) {
    loop_.defer([this, pid, reason] { former_is_gone(pid, reason); });
  };
  formers_[pid] = std::make_unique<FormerProcess>(loop_, std::move(handle), std::move(callbacks));
}

void Application::former_is_gone(pid_t pid, const std::string& reason) {
  if (formers_.erase(pid) == 0) return;
  if (formers_.empty()) workers_->forget_added_keys();
  tell_service_manager();  // it may not have come to say that we are the main process
  record(reason.empty() ? LogLevel::kInfo : LogLevel::kWarning, "handover",
         "the former process " + std::to_string(pid) + " has ended" +
             (reason.empty() ? ": no session is left there" : ", by force: " + reason));
}

void Application::tell_service_manager() {
  if (!service_manager_.is_there()) return;
  for (const auto& socket : listening_sockets()) service_manager_.keep_socket(socket.name, socket.socket.descriptor());
  service_manager_.tell("READY=1\nSTATUS=pgkeel " + std::string(pgkeel_version()));
}

// Where sessions of former processes are left, a route is applied when those obey it too. What they sent on their way
// before that is in our workers' queues by then.
void Application::publish_route(const std::string& endpoint, Route route, std::function<void()> applied,
                                std::function<void()> drained) {
  if (!workers_->has_endpoint(endpoint)) {  // a reload of the process that decides has added it: nothing of it is here
    loop_.defer(std::move(applied));
    loop_.defer(std::move(drained));
    return;
  }
  if (giver_ && giver_->is_former()) given_routes_[endpoint] = route;
  if (formers_.empty()) {
    workers_->publish_route(endpoint, std::move(route), std::move(applied), std::move(drained));
    return;
  }
  const auto by_the_last = [count = formers_.size() + 1](std::function<void()> then) {
    return [left = std::make_shared<std::size_t>(count), then = std::move(then)] {
      if (--*left == 0) then();
    };
  };
  const auto each_applied = by_the_last([this, applied = std::move(applied)] { workers_->follow_up(applied); });
  const auto each_drained = by_the_last(std::move(drained));
  for (const auto& [pid, former] : formers_) former->publish_route(endpoint, route, each_applied, each_drained);
  workers_->publish_route(endpoint, std::move(route), each_applied, each_drained);
}

void Application::set_write_deadline(const std::string& cluster, Instant until) {
  write_deadlines_[cluster] = until;
  if (giver_ && giver_->is_former()) close_at(cluster, until);
  if (workers_->has_endpoint(cluster)) workers_->set_write_deadline(cluster, until);
  for (const auto& [pid, former] : formers_) former->set_write_deadline(cluster, until);
}

// Where the process that decides stands still, nobody tells us to close; another pgkeel may soon lead elsewhere.
void Application::close_at(const std::string& cluster, Instant until) {
  if (until == Instant::max()) return;
  auto& timer = write_deadline_timers_[cluster];
  if (!timer) timer = std::make_unique<Timer>(loop_, [this, cluster] { close_where_time_is_over(cluster); });
  timer->start_once(until - Coordination::now());
}

void Application::close_where_time_is_over(const std::string& cluster) {
  if (Coordination::now() < write_deadlines_.at(cluster)) return close_at(cluster, write_deadlines_.at(cluster));
  for (const Endpoint endpoint : {Endpoint::kWrite, Endpoint::kReadOnly}) {
    const auto newest = given_routes_.find(endpoint_name(cluster, endpoint));
    // Sessions may stay at readers that take nobody new.
    if (newest == given_routes_.end() || (!newest->second.target && newest->second.readers.empty())) continue;
    Route nowhere;
    nowhere.epoch = newest->second.epoch;
    nowhere.reason = "this pgkeel has not renewed its lease in time";
    log(LogLevel::kWarning, cluster, nowhere.reason + ": the clients that are left in this process are ended");
    newest->second = nowhere;
    workers_->publish_route(newest->first, std::move(nowhere), nothing_to_do, nothing_to_do);
  }
}

void Application::end_clients_of(const IpAddress& address) {
  workers_->end_clients_of(address, "the virtual IP " + format_ip_address(address) + " moves to another pgkeel");
  for (const auto& [pid, former] : formers_) former->end_clients_of(address);
}

// ---- another process takes over ----

Result<void> Application::start_successor() {
  if (!giver_) return Error{"no other process can take over from this one; the log says why"};
  if (program_.empty()) return Error{"the path of our own program is not known"};
  return giver_->start_successor(
      {program_, "serve", "--config", std::filesystem::absolute(options_.config_path).string(), "--take-over"});
}

ProcessStatus Application::process_status() const {
  ProcessStatus status;
  status.pid = ::getpid();
  status.version = std::string(pgkeel_version());
  status.handover_is_under_way = giver_ && giver_->is_under_way();
  status.handovers_failed = failures_;
  status.last_handover_failure = last_failure_;
  for (const auto& [pid, former] : formers_) {
    FormerProcessStatus each{.pid = pid, .sessions = 0};
    for (const auto& [cluster, sessions] : former->draining()) each.sessions += sessions;
    status.former.push_back(each);
  }
  return status;
}

std::string Application::why_no_handover() const {
  if (auto why_not = why_no_handover_soon(); !why_not.empty()) return why_not;
  if (coordinator_) {  // first, as clusters without a lease have no route
    if (hears_again_.active()) return "the virtual IP has just left; try again";
    if (auto why_not = coordinator_->why_no_handover(); !why_not.empty()) return why_not;
  }
  for (const auto& cluster : clusters_) {
    if (auto why_not = cluster->why_no_handover(); !why_not.empty()) return why_not;
  }
  const bool quiet = std::ranges::all_of(formers_, [](const auto& former) { return former.second->is_quiet(); });
  return quiet ? "" : "a former process has not followed the newest route yet";
}

std::string Application::why_no_handover_soon() const {
  if (is_ending()) return "it is being stopped";
  for (const auto& cluster : clusters_) {
    if (auto why_not = cluster->why_no_handover_soon(); !why_not.empty()) return why_not;
  }
  return coordinator_ && leadership_->is_handing_over() ? "the leadership is being handed over; try again" : "";
}

std::vector<NamedSocket> Application::listening_sockets() const {
  auto sockets = workers_->listening_sockets();
  if (auto admin = duplicate_socket(admin_socket_.descriptor())) sockets.push_back({"admin", std::move(*admin)});
  return sockets;
}

// A write that is under way, a renewal that is late, a route that has just changed. From `ready` on nobody renews the
// lease until the new process does.
void Application::get_ready(std::function<void()> ready) {
  const Instant limit = loop_.now() + kEtcdIsWaitedFor;
  quiet_ = std::make_unique<Timer>(loop_, [this, limit, ready, in_the_way_since = Instant::max()]() mutable {
    const Instant now = loop_.now();
    in_the_way_since = why_no_handover_soon().empty() ? Instant::max() : std::min(in_the_way_since, now);
    const bool lasts = in_the_way_since != Instant::max() && now - in_the_way_since >= kQuietIsWaitedFor;
    if (!why_no_handover().empty() && !lasts && now < limit) return;
    quiet_->stop();
    if (!coordinator_) return loop_.defer(ready);
    coordinator_->renew_now([this, limit, ready, lasts] {
      // A write may have begun meanwhile.
      if (why_no_handover().empty() || lasts || loop_.now() >= limit) return ready();
      quiet_->start_repeating(kQuietLook);
    });
  });
  quiet_->start_repeating(kQuietLook);
}

void Application::give_up(pid_t successor, std::function<void(std::vector<LinkMessage>)> given) {
  record(LogLevel::kInfo, "handover", "process " + std::to_string(successor) + " takes over");
  hears_again_.stop();
  farewell_.reset();
  workers_->turn_deaf_to({});
  for (const auto& [pid, former] : formers_) former->stop_reading();
  const auto without_admin = [this, given = std::move(given)] {
    if (stopping_) {  // meanwhile: all of this is needed for that
      for (const auto& [pid, former] : formers_) former->read_again();
      return;
    }
    for (const auto& cluster : clusters_) given_routes_.merge(cluster->open_routes());
    // What they store is stored when they return to us: nothing is half done here.
    clusters_.clear();
    give_up_membership();
    for (const auto& [cluster, until] : write_deadlines_) close_at(cluster, until);  // those that stay
    decisions_.reset();
    events_.reset();
    workers_->move_out([this, given](WorkerPool::Moved sessions) {
      given_sessions_ = std::move(sessions);
      given(all_that_it_needs());
    });
  };
  // Its threads may wait for an answer of ours: it ends with its last owner, which is this thread only where there is
  // no other to be had.
  const auto ended = jobs_.run(
      [admin = std::shared_ptr<AdminServer>(std::move(admin_)), without_admin](const JobRunner::Post&) mutable {
        admin.reset();
        return without_admin;
      });
  if (!ended) loop_.defer(without_admin);
}

std::vector<LinkMessage> Application::all_that_it_needs() const {
  std::vector<LinkMessage> all;
  HandoverMessage control;
  control.word = HandoverWord::kControl;
  all.push_back(write_handover(std::move(control)));
  all.back().borrowed = {state_->lock_descriptor()};
  if (membership_) {
    HandoverMessage message;
    message.word = HandoverWord::kMembership;
    message.membership = membership_;
    all.push_back(write_handover(std::move(message)));
  }
  for (const auto& [cluster, route] : given_routes_) {
    HandoverMessage message;
    message.word = HandoverWord::kOpenRoute;
    message.cluster = cluster;
    message.route = route;
    all.push_back(write_handover(std::move(message)));
  }
  for (const auto& [cluster, session] : given_sessions_) all.push_back(write_borrowed(cluster, session));
  for (const auto& [pid, former] : formers_) all.push_back(former->introduction());
  return all;
}

void Application::take_back(bool released) {
  if (released) {
    workers_->stay();
    auto state = StateDirectory::open(config_.state_directory, kDyingTakes);
    if (!state) return end(state.error().message);
    state_ = std::make_unique<StateDirectory>(std::move(*state));
    former_mark_.reset();
    if (const auto ended = end_lost_formers(); !ended) return end(ended.error().message);
  }
  drain_look_.stop();
  write_deadline_timers_.clear();
  for (const auto& [pid, former] : formers_) former->read_again();
  if (const auto opened = open_control(); !opened) return end(opened.error().message);
  for (auto& [cluster, session] : std::exchange(given_sessions_, {})) workers_->take_over(cluster, std::move(session));
  start_control(std::exchange(given_routes_, {}));
}

void Application::let_go() {
  if (auto mark = FormerMark::leave(config_.state_directory))
    former_mark_.emplace(std::move(*mark));
  else
    log(LogLevel::kWarning, "handover", mark.error().message);
  given_sessions_.clear();
  state_.reset();
  formers_.clear();
  told_draining_.clear();
  workers_->leave(
      [this](const std::string& cluster, MovedSession session) { session_leaves(cluster, std::move(session)); },
      [this](const std::string& cluster, const CancelKey& key, const CancelRegistry::Owner& owner) {
        HandoverMessage message;
        message.word = HandoverWord::kStays;
        message.cluster = cluster;
        message.stays.emplace(key, owner);
        giver_->send(std::move(message));
      });
  drain_look_.start_repeating(kHandoverDrainLook);
}

void Application::session_leaves(const std::string& cluster, MovedSession session) {
  if (!giver_->is_former()) return workers_->take_over(cluster, std::move(session));
  HandoverMessage message;
  message.word = HandoverWord::kSession;
  message.cluster = cluster;
  message.session = std::move(session);
  giver_->send(std::move(message));
}

void Application::successor_serves(pid_t successor) {
  service_manager_.tell("MAINPID=" + std::to_string(successor));
  look_at_drain();
  workers_->drop_listeners();
  admin_socket_.close();
  log(LogLevel::kInfo, "handover",
      "process " + std::to_string(successor) + " serves; what is left here has " +
          format_duration(config_.proxy.restart_drain) + " to end");
  drain_limit_.start_once(config_.proxy.restart_drain);
}

void Application::look_at_drain() {
  std::map<std::string, std::uint64_t> draining = workers_->open_sessions();
  std::uint64_t all = 0;
  for (const auto& [endpoint, sessions] : draining) all += sessions;
  if (draining != told_draining_) {
    told_draining_ = draining;
    HandoverMessage message;
    message.word = HandoverWord::kDraining;
    message.draining = std::move(draining);
    giver_->send(std::move(message));
  }
  if (all == 0 && drain_limit_.active()) begin_stop("no session is left");
}

bool Application::may_follow(const std::string& endpoint, const Route& route) const {
  const auto given = given_routes_.find(endpoint);
  if (given == given_routes_.end()) return !workers_->has_endpoint(endpoint);
  return route.epoch >= given->second.epoch;
}

void Application::end(const std::string& why) {
  begin_stop(why);
}

void Application::end_sessions(const std::string& why, std::function<void()> ended) {
  begin_stop(why);
  workers_->follow_up(std::move(ended));
}

void Application::handover_failed(const std::string& why) {
  failures_ += 1;
  last_failure_ = why;
  record(LogLevel::kError, "handover", "handover failed: " + why + "; this process goes on");
}

}  // namespace pgkeel
