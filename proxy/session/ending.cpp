// The part of Session that ends it: what its client is told, and how its links are closed.
#include <utility>

#include "proxy/session/access_point.h"
#include "proxy/session/session.h"

namespace pgkeel {
namespace {

// How long a client may take to close when all is sent, before its connection is cut (a cut may cost it what it has not
// read); and how long one that does not read may keep what was said to it, its last error at the end, from being sent.
constexpr Duration kClosingLimit = std::chrono::seconds(10);
constexpr Duration kUnreadLimit = std::chrono::minutes(5);

constexpr std::string_view kHint =
    "Connect again to the same address: pgkeel leads to the primary there, and holds new connections while there is "
    "none.";
constexpr std::string_view kReadOnlyHint =
    "Connect again to the same address: pgkeel leads to a standby that is close to the primary there, else to the "
    "primary, and holds new connections while there is neither.";
constexpr std::string_view kGoneHint =
    "This address is served no more: connect to the one that the administrator of pgkeel has put in its place.";
constexpr std::string_view kReadOnlyGoneHint =
    "This address is served no more: connect to the one for writes of the same cluster, or ask the administrator of "
    "pgkeel.";

}  // namespace

std::string_view Session::hint() const {
  if (access_point_.route().mode == RouteMode::kTornDown) return kGoneHint;
  const bool for_reads = access_point_.shared().endpoint == Endpoint::kReadOnly;
  if (access_point_.is_gone()) return for_reads ? kReadOnlyGoneHint : kGoneHint;
  return for_reads ? kReadOnlyHint : kHint;
}

// By its server or its route: what its client will have to find out.
void Session::count_end() {
  switch (transaction_.outcome()) {
    case TransactionOutcome::kNoneOpen:
      return access_point_.counters().ended_idle.add();
    case TransactionOutcome::kRolledBack:
      return access_point_.counters().ended_in_transaction.add();
    case TransactionOutcome::kUnknown:
      return (commit_.in_flight() ? access_point_.counters().ended_in_commit : access_point_.counters().ended_busy)
          .add();
  }
}

void Session::count_state(SessionsByState& counts) const {
  if (state_ != State::kEstablished) return;
  switch (transaction_.outcome()) {
    case TransactionOutcome::kNoneOpen:
      ++counts.idle;
      return;
    case TransactionOutcome::kRolledBack:
      ++counts.in_transaction;
      return;
    case TransactionOutcome::kUnknown:
      ++(commit_.in_flight() ? counts.in_commit : counts.busy);
  }
}

void Session::end_with_error(SqlState sqlstate, std::string message) {
  if (server_said_goodbye_ || client_terminated_) {
    begin_closing();
    return;
  }
  FatalError error{.sqlstate = sqlstate, .message = std::move(message), .detail = {}, .hint = {}};
  if (state_ == State::kEstablished) error.detail = describe(transaction_.outcome());
  if (sqlstate == SqlState::kAdminShutdown || sqlstate == SqlState::kCannotConnect) error.hint = hint();
  to_client_.drop_partial();
  if (to_client_boundary_.at_boundary()) {
    to_client_.add_waiting(as_bytes(build_error_response(error)));
    access_point_.counters().errors[static_cast<std::size_t>(sqlstate)].add();
  } else {
    access_point_.counters().closed_without_error_at_unclean_boundary.add();
  }
  begin_closing();
}

void Session::begin_closing() {
  release_server();
  set_silent(false);
  if (std::exchange(state_, State::kClosing) != State::kClosing) access_point_.counters().closing.add();
  to_client_.drop_partial();
  to_server_.clear();
  startup_packet_.clear();
  if (login_) *login_ = {};  // whoever ended it may be in the midst of it
  run_closing_clock(kUnreadLimit);
  // An unread byte in the socket when it is closed makes a reset of the close, and the client may lose the error.
  client_.resume_reading(PauseReason::kPeerBufferFull);
  client_.resume_reading(PauseReason::kLogin);
  client_.resume_reading(PauseReason::kDrain);
  flush_to_client();
}

void Session::all_is_sent() {
  client_.shut_down_writing();
  if (client_.read_to_end()) return vanish();
  run_closing_clock(kClosingLimit);
}

void Session::run_closing_clock(Duration limit) {
  run_clock(Clock::kNone);
  closing_left_ = limit;
  run_clock(Clock::kClosing);
}

void Session::release_server() {
  if (std::exchange(drain_awaits_, false)) access_point_.session_drained();
  access_point_.waiting_room().leave(*this);
  resolving_ = {};
  securing_.reset();
  scram_.reset();
  wipe(client_words_);
  leave_unproven();
  server_.reset();
  is_reader_ = {};
  descriptors_.shrink_to(1);
  if (cancel_key_) access_point_.shared().cancel_registry.remove(*cancel_key_, cancel_entry_);
  cancel_key_.reset();
  if (state_ == State::kEstablished) access_point_.counters().established.subtract();
  if (std::exchange(counted_as_client_, false)) {
    access_point_.services().clients.fetch_sub(1, std::memory_order_relaxed);
  }
}

void Session::drain_client() {
  const IoResult result = client_.read(access_point_.services().small_read_buffer());
  const bool over = result.kind == IoResult::Kind::kEnd && to_client_.waiting_bytes() == 0;
  if (over || result.kind == IoResult::Kind::kError) vanish();
}

void Session::vanish() {
  if (state_ == State::kGone) return;
  release_server();
  leave_newcomers();
  if (std::exchange(state_, State::kGone) == State::kClosing) access_point_.counters().closing.subtract();
  deadline_.stop();
  client_.close();
  access_point_.retire(*this);
}

}  // namespace pgkeel
