#include "proxy/session/session.h"

#include <algorithm>
#include <cerrno>
#include <utility>

#include "proxy/io/loop.h"
#include "proxy/session/access_point.h"

namespace pgkeel {
namespace {

// A client that said goodbye gets its server's answers for so long.
constexpr Duration kTerminatedLimit = std::chrono::seconds(10);
constexpr Duration kConnectAttemptLimit = std::chrono::seconds(2);

}  // namespace

Session::Session(AccessPoint& access_point, AcceptedClient client)
    : access_point_(access_point),
      descriptors_(std::move(client.descriptors)),
      client_(access_point.services().loop, std::move(client.socket),
              [this](FdInterest ready) { client_ready(ready); }),
      newcomer_place_(std::move(client.place)),
      peer_(client.peer),
      deadline_(access_point.services().loop, [this] { deadline_reached(); }),
      hold_left_(access_point.services().limits.hold_timeout),
      login_left_(access_point.services().limits.login_timeout),
      closing_left_(kTerminatedLimit) {
  run_clock(Clock::kLogin);
}

Session::~Session() = default;

void Session::client_ready(FdInterest ready) {
  handle_client(ready);
  if (access_point_.is_left()) leave();
  if (ready.failed && state_ != State::kGone) client_.watch_on();
}

void Session::handle_client(FdInterest ready) {
  if (ready.writable && to_client_.waiting_bytes() > 0 && !flush_to_client()) return;
  switch (state_) {
    case State::kStartup:
      if (client_.is_shaking_hands())
        go_on_with_handshake();
      else if (ready.readable)
        read_startup();
      return;
    case State::kWaiting:
    case State::kConnecting:
    case State::kSecuring:
      client_ready_while_not_read(ready);
      return;
    case State::kLogin:
    case State::kEstablished:
      if (client_.reading_paused())
        client_ready_while_not_read(ready);
      else if (ready.readable && state_ == State::kLogin)
        read_client_words();
      else if (ready.readable)
        relay_from_client();
      return;
    case State::kClosing:
      if (ready.readable) drain_client();
      return;
    case State::kGone:
      return;
  }
}

void Session::client_ready_while_not_read(FdInterest ready) {
  if (ready.failed) {
    vanish();
    return;
  }
  if (!ready.peer_closed) return;
  // Before the login is over, a client that has sent all it will send has given up; after it, it may only have said
  // its last.
  if (state_ != State::kEstablished && !client_.has_unread_bytes()) {
    vanish();
    return;
  }
  client_.acknowledge_peer_closed();
}

void Session::server_ready(FdInterest ready) {
  handle_server(ready);
  if (access_point_.is_left()) leave();
  if (ready.failed && server_) server_->watch_on();
}

void Session::handle_server(FdInterest ready) {
  switch (state_) {
    case State::kConnecting:
      if (ready.writable) connection_made();
      return;
    case State::kSecuring:
      go_on_securing();
      return;
    case State::kLogin:
    case State::kEstablished:
      if (ready.writable && to_server_.waiting_bytes() > 0 && !flush_to_server()) return;
      if (server_->reading_paused()) {
        if (ready.peer_closed) server_->acknowledge_peer_closed();
        return;
      }
      if (!ready.readable) return;
      if (state_ == State::kLogin)
        read_login_answer();
      else
        relay_from_server();
      return;
    case State::kStartup:
    case State::kWaiting:
    case State::kClosing:
    case State::kGone:
      return;
  }
}

Duration& Session::time_left(Clock clock) {
  if (clock == Clock::kHold) return hold_left_;
  return clock == Clock::kLogin ? login_left_ : closing_left_;
}

void Session::run_clock(Clock clock) {
  const Instant now = access_point_.services().loop.now();
  if (clock_ != Clock::kNone) time_left(clock_) -= now - clock_since_;
  clock_ = clock;
  clock_since_ = now;
  if (clock == Clock::kNone) {
    deadline_.stop();
    return;
  }
  Duration left = time_left(clock);
  if (state_ == State::kConnecting) left = std::min(left, kConnectAttemptLimit);
  if (awaits_first_answer()) left = std::min(left, access_point_.settings().failure_timeout);
  deadline_.start_once(left);
}

void Session::deadline_reached() {
  run_clock(clock_);
  if (clock_ == Clock::kClosing || state_ == State::kStartup) {
    vanish();
    return;
  }
  if (clock_ == Clock::kLogin) {
    end_with_error(SqlState::kCannotConnect, "could not connect: the login took longer than login_timeout");
    return;
  }
  if (time_left(clock_) > Duration::zero()) {
    if (awaits_first_answer()) {
      login_->silence_reported = true;
      run_clock(clock_);
      access_point_.counters().logins_unanswered.add();
      // A server that is merely slow finishes others meanwhile.
      if (access_point_.counters().logins.value() != login_->finished_before) return;
      access_point_.report(LinkEvidence::Kind::kNoAnswer, target_.node, epoch_,
                           "a login got no answer for " + format_duration(access_point_.settings().failure_timeout));
    }
    if (state_ != State::kConnecting) return;
    // Only this attempt to connect has taken too long.
    note_connect_error(ETIMEDOUT);
    connect_to_next_address();
    return;
  }
  const Route& route = access_point_.route();
  const bool for_reads = access_point_.shared().endpoint == Endpoint::kReadOnly;
  std::string cause = std::string("could not connect: no ") + (for_reads ? "server for reads" : "primary") +
                      " of cluster \"" + access_point_.shared().name + "\" took the connection within hold_timeout";
  if (!route.leads_somewhere())
    cause += ": " + route.reason;
  else if (!login_->last_failure.empty())
    cause += ": " + login_->last_failure;
  end_with_error(SqlState::kCannotConnect, std::move(cause));
}

void Session::wait_counts_as_hold(bool counts) {
  run_clock(counts ? Clock::kHold : Clock::kNone);
}

std::string Session::node_phrase() const {
  return "server \"" + target_.node + "\"";
}

void Session::follow_route() {
  end_drain();
  const Route& route = access_point_.route();
  const bool linked = state_ == State::kConnecting || state_ == State::kSecuring || state_ == State::kLogin ||
                      state_ == State::kEstablished;
  const bool connects = state_ == State::kWaiting || (linked && state_ != State::kEstablished);
  if (connects && nothing_to_wait_for()) return tell_of_stop();
  if (!linked) return;
  if (epoch_ != route.epoch || !route.leads_to(target_, expects_recovery_)) return leave_old_route();
  if (route.mode == RouteMode::kDraining) begin_drain();
}

// Only an operator can end it.
bool Session::nothing_to_wait_for() const {
  const RouteMode mode = access_point_.route().mode;
  return mode == RouteMode::kStopped || mode == RouteMode::kTornDown;
}

void Session::tell_of_stop() {
  if (server_) server_->reset();
  const bool torn_down = access_point_.route().mode == RouteMode::kTornDown;
  end_with_error(torn_down ? SqlState::kCannotConnect : SqlState::kCannotConnectNow,
                 "could not connect: cluster \"" + access_point_.shared().name + "\" is " +
                     (torn_down ? "torn down: " : "stopped: ") + access_point_.route().reason);
}

void Session::begin_drain() {
  const bool may_wait = state_ != State::kEstablished && !login_->challenge_forwarded && !server_said_goodbye_;
  if (may_wait) {
    if (server_) server_->reset();
    login_->last_failure = access_point_.route().reason;
    return wait_again();
  }
  drain_awaits_ = true;
  access_point_.await_drain();
  hold_where_drained();
}

// What the client has sent, and the server has not got, stays where it is.
void Session::hold_where_drained() {
  if (!drain_awaits_ || state_ != State::kEstablished || to_server_.waiting_bytes() > 0) return;
  if (transaction_.outcome() != TransactionOutcome::kNoneOpen) return;
  client_.pause_reading(PauseReason::kDrain);
  drain_awaits_ = false;
  access_point_.session_drained();
}

void Session::end_drain() {
  client_.resume_reading(PauseReason::kDrain);
  if (std::exchange(drain_awaits_, false)) access_point_.session_drained();
}

void Session::count_as_reader() {
  if (access_point_.shared().endpoint == Endpoint::kReadOnly)
    is_reader_ = access_point_.shared().readers.add(target_.node);
}

void Session::leave_old_route() {
  const Route& route = access_point_.route();
  const std::string& why = epoch_ == route.epoch ? route.why_not_to(target_.node) : route.reason;
  // What the kernel has not sent yet must not reach the old server.
  if (server_) server_->reset();
  if (state_ == State::kEstablished) {
    count_end();
    end_with_error(SqlState::kAdminShutdown, "terminating connection: " + why);
  } else if (!login_can_be_repeated() || server_said_goodbye_) {
    end_with_error(SqlState::kCannotConnect, "could not connect: " + why);
  } else {
    login_->last_failure = why;
    wait_again();
  }
}

void Session::shut_down(const std::string& cause) {
  // Another pgkeel may open another route next: what the kernel has not sent yet must not reach this server.
  if (server_ && access_point_.shared().write_deadline.is_set()) server_->reset();
  switch (state_) {
    case State::kStartup:
      if (client_.tls()) return vanish();  // in a handshake, of which an error is no part
      [[fallthrough]];
    case State::kWaiting:
    case State::kConnecting:
    case State::kSecuring:
    case State::kLogin:
      end_with_error(SqlState::kCannotConnect, "could not connect: " + cause);
      return;
    case State::kEstablished:
      end_with_error(SqlState::kAdminShutdown, "terminating connection: " + cause);
      return;
    case State::kClosing:
    case State::kGone:
      return;
  }
}

// One message is read at a time, exactly: nothing behind it is taken before it is asked for. False: it is not all
// there, or the client is gone.
bool Session::read_exactly(std::string& words, std::size_t wanted) {
  while (words.size() < wanted) {
    const std::span<std::byte> buffer = access_point_.services().read_buffer.first(wanted - words.size());
    const IoResult result = client_.read(buffer);
    if (result.kind == IoResult::Kind::kWouldBlock) return false;
    if (result.kind != IoResult::Kind::kBytes) {
      vanish();
      return false;
    }
    access_point_.counters().bytes_from_clients.add(result.bytes);
    words += as_text(buffer.first(result.bytes));
  }
  return true;
}

void Session::review_acknowledge_limits() {
  client_.review_acknowledge_limit();
  if (server_) server_->review_acknowledge_limit();
}

}  // namespace pgkeel
