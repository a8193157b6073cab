// The part of Session that leaves this process for another one, and that comes from one.
#include <utility>

#include "proxy/io/loop.h"
#include "proxy/session/access_point.h"
#include "proxy/session/session.h"

namespace pgkeel {

Session::Session(AccessPoint& access_point, AcceptedClient client, MovedSession moved)
    : Session(access_point, std::move(client)) {
  startup_packet_ = std::move(moved.startup);
  encryption_requests_ = moved.encryption_requests;
  if (!moved.established) return;
  MovedSession::Established& established = *moved.established;
  established.server.set_link_options();
  static_cast<void>(descriptors_.grow());  // it had one in the other process too
  target_ = std::move(established.target);
  epoch_ = established.epoch;
  node_index_ = access_point_.node_index(target_.node);
  expects_recovery_ = access_point_.route().is_standby(target_.node);
  count_as_reader();
  transaction_ = established.transaction;
  commit_ = established.commit;
  if (established.cancel_key) {
    cancel_key_ = std::move(established.cancel_key);
    cancel_entry_ = access_point_.shared().cancel_registry.add(*cancel_key_, {target_.node, epoch_});
  }
  access_point_.services().clients.fetch_add(1, std::memory_order_relaxed);
  counted_as_client_ = true;
  access_point_.counters().established.add();
  access_point_.counters().taken_over.add();
  state_ = State::kEstablished;
  run_clock(Clock::kNone);
  server_.emplace(access_point_.services().loop, std::move(established.server),
                  [this](FdInterest ready) { server_ready(ready); });
}

void Session::go_on_here() {
  if (state_ == State::kEstablished) {
    newcomer_place_.shrink_to(0);
    review_acknowledge_limits();
    follow_route();
    return;
  }
  become_newcomer();
  const auto size =
      startup_packet_.size() < 4 ? Result<std::size_t>(0) : startup_packet_size(as_bytes(startup_packet_));
  if (!size) return vanish();
  startup_packet_size_ = *size;
  read_startup();
}

bool Session::is_in_clear() const {
  return client_.tls() == nullptr && (!server_ || server_->tls() == nullptr);
}

bool Session::may_move() const {
  if (!is_in_clear() || client_.read_to_end()) return false;
  switch (state_) {
    case State::kStartup:
      return !client_.is_shaking_hands();
    case State::kWaiting:
    case State::kConnecting:
    case State::kSecuring:
    case State::kLogin:
      return login_can_be_repeated() && !scram_ && !server_said_goodbye_ && to_client_.waiting_bytes() == 0;
    case State::kEstablished:
      return !server_->read_to_end() && !client_terminated_ && !server_said_goodbye_ && !long_notice_.under_way() &&
             to_server_boundary_.at_boundary() && to_client_boundary_.at_boundary() && to_server_.is_empty() &&
             to_client_.is_empty() && !server_write_failed_;
    case State::kClosing:
    case State::kGone:
      break;
  }
  return false;
}

MovedSession Session::move_out() {
  MovedSession moved;
  if (state_ == State::kEstablished) {
    moved.established = {.server = server_->release().socket,
                         .target = target_,
                         .epoch = epoch_,
                         .transaction = transaction_,
                         .commit = commit_,
                         .cancel_key = cancel_key_};
  } else {
    // The server's half of a login goes; the server takes that for a client that has changed its mind.
    moved.startup = std::move(startup_packet_);
    moved.encryption_requests = encryption_requests_;
  }
  moved.client = client_.release().socket;
  access_point_.counters().given_away.add();
  release_server();
  leave_newcomers();
  state_ = State::kGone;
  deadline_.stop();
  access_point_.retire(*this);
  return moved;
}

void Session::leave() {
  if (state_ == State::kGone) return;
  if (!access_point_.ending_cause().empty()) return end_behind_transaction(access_point_.ending_cause());
  if (may_move()) return access_point_.give_away(*this);
  // It cannot go, or not yet. Its client is told where it loses nothing by that: right behind a transaction.
  if (state_ != State::kEstablished || is_in_clear()) return;
  const bool idle = is_idle();
  if (!std::exchange(was_busy_while_leaving_, !idle)) return;
  if (idle) end_with_error(SqlState::kAdminShutdown, "terminating connection: pgkeel was restarted");
}

bool Session::is_idle() const {
  return transaction_.outcome() == TransactionOutcome::kNoneOpen && to_server_.is_empty();
}

// What its client may have sent since was passed on to nobody.
void Session::end_behind_transaction(const std::string& cause) {
  if (state_ == State::kEstablished && is_idle())
    end_with_error(SqlState::kAdminShutdown, "terminating connection: " + cause);
}

}  // namespace pgkeel
