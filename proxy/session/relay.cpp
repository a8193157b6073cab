// The part of Session that passes bytes on between an established client and its server: one read, one write.
#include <optional>
#include <utility>

#include "proxy/io/loop.h"
#include "proxy/session/access_point.h"
#include "proxy/session/session.h"

namespace pgkeel {
namespace {

// Reads behind the partial message of the direction, and puts that in front: nothing is copied where there is none.
IoResult read_behind_partial(Link& link, RelayBuffer& kept, std::span<std::byte> buffer) {
  const std::size_t partial = kept.partial_bytes();
  IoResult result = link.read(buffer.subspan(partial));
  if (result.kind == IoResult::Kind::kBytes && partial > 0) {
    std::copy(kept.partial().begin(), kept.partial().end(), buffer.begin());
    kept.drop_partial();
    result.bytes += partial;
  }
  return result;
}

}  // namespace

void Session::relay_from_client() {
  const std::span<std::byte> buffer = access_point_.services().small_read_buffer();
  const std::size_t partial = to_server_.partial_bytes();
  const IoResult result = read_behind_partial(client_, to_server_, buffer);
  switch (result.kind) {
    case IoResult::Kind::kWouldBlock:
      return;
    case IoResult::Kind::kEnd:
      client_finished();
      return;
    case IoResult::Kind::kError:
      vanish();
      return;
    case IoResult::Kind::kBytes:
      break;
  }
  access_point_.counters().bytes_from_clients.add(result.bytes - partial);
  pass_on_from_client(buffer.first(result.bytes));
}

void Session::pass_on_from_client(std::span<std::byte> bytes) {
  const auto advance = to_server_boundary_.advance(bytes, [this](char type, std::span<std::byte> message) {
    transaction_.client_sent(type);
    commit_.client_sent(type, message);
    if (type == 'X') client_terminated_ = true;
    return true;
  });
  if (advance.violation) {
    end_with_error(SqlState::kProtocolViolation, "invalid message length");
    return;
  }
  if (!queue_to_server(bytes.first(advance.passable))) return;
  to_server_.add_partial(bytes.subspan(advance.passable));
}

void Session::relay_from_server() {
  const std::span<std::byte> buffer = access_point_.services().read_buffer;
  const std::size_t partial = to_client_.partial_bytes();
  const IoResult result = read_behind_partial(*server_, to_client_, buffer);
  switch (result.kind) {
    case IoResult::Kind::kWouldBlock:
      return;
    case IoResult::Kind::kEnd:
    case IoResult::Kind::kError:
      server_link_ended(result);
      return;
    case IoResult::Kind::kBytes:
      break;
  }
  access_point_.counters().bytes_from_servers.add(result.bytes - partial);
  access_point_.heard_from(node_index_, access_point_.services().loop.now());
  pass_on_from_server(buffer.first(result.bytes));
}

void Session::pass_on_from_server(std::span<std::byte> bytes) {
  if (long_notice_.under_way() && !long_notice_allows(bytes)) return;
  bool wait_interrupted = false;
  std::optional<std::size_t> other_role_at;  // what tells of it is not for the client
  const auto advance = to_client_boundary_.advance(bytes, [&](char type, std::span<std::byte> message) {
    if ((type == 'E' || type == 'S') && tells_of_other_role(type, message)) {
      other_role_at = static_cast<std::size_t>(message.data() - bytes.data());
      return false;
    }
    if (type == 'E' || type == 'N') {
      announce_crash_as_shutdown(message);
      if (type == 'E' && parse_error_fields(message).ends_session()) server_said_goodbye_ = true;
      if (type == 'N' && !may_go_on_behind(message)) wait_interrupted = true;
    }
    transaction_.server_sent(
        type, message.size() > kMessageHeaderBytes ? static_cast<char>(message[kMessageHeaderBytes]) : '\0');
    if (type == 'Z' && transaction_.outcome() != TransactionOutcome::kUnknown) commit_.answered();
    return !wait_interrupted;
  });
  if (other_role_at) {
    to_client_boundary_ = BoundaryTracker(MessageSender::kServer);
    if (queue_to_client(bytes.first(*other_role_at))) role_changed();
    return;
  }
  if (!queue_to_client(bytes.first(advance.passable))) return;
  if (wait_interrupted) {
    commit_wait_interrupted();
    return;
  }
  if (advance.violation) {
    end_with_error(SqlState::kProtocolViolation,
                   "terminating connection: " + node_phrase() + " sent a message of invalid length");
    return;
  }
  to_client_.add_partial(bytes.subspan(advance.passable));
  if (drain_awaits_) hold_where_drained();
}

// Whether the client may hear what the server says after this notice. Of a long one, only the beginning is there yet.
bool Session::may_go_on_behind(Bytes notice) {
  if (!access_point_.settings().keeps_commit_waits) return true;
  if (notice.size() <= read_uint32(notice.subspan(1, 4))) {
    long_notice_.begin(notice);
    return true;
  }
  return !tells_of_interrupted_wait(notice);
}

// `bytes` begin inside the long notice. False: it ends in them, and what it says ends the session.
bool Session::long_notice_allows(std::span<std::byte> bytes) {
  const std::span<std::byte> rest = bytes.first(long_notice_.add(bytes));
  if (long_notice_.under_way() || !long_notice_.tells_of_interrupted_wait()) return true;
  to_client_boundary_.advance(rest, [](char, std::span<std::byte>) { return true; });
  if (queue_to_client(rest)) commit_wait_interrupted();
  return false;
}

// What follows is an acknowledgement of a commit that may be on this server alone: the client must not get it.
void Session::commit_wait_interrupted() {
  transaction_.commit_is_in_doubt();
  access_point_.counters().commit_waits_interrupted.add();
  end_with_error(SqlState::kAdminShutdown,
                 "terminating connection: the wait of a commit for a standby was interrupted on " + node_phrase());
}

void Session::client_finished() {
  // Half closed: the server still has answers for it. All that was read is with the server's socket by now.
  to_server_.drop_partial();
  server_->shut_down_writing();
  if (client_terminated_) run_clock(Clock::kClosing);  // a server that hangs must not keep the session
}

void Session::server_link_ended(const IoResult& result) {
  const bool client_is_going = client_terminated_ || client_.read_to_end();
  if (!client_is_going) count_end();
  if (server_said_goodbye_ || client_is_going) {
    begin_closing();
    return;
  }
  std::string cause = node_phrase();
  if (result.kind == IoResult::Kind::kEnd)
    cause += " closed the connection unexpectedly";
  else
    cause += ": " + describe_system_error(result.error);
  access_point_.report(LinkEvidence::Kind::kBroken, target_.node, epoch_, cause);
  end_with_error(SqlState::kAdminShutdown, "terminating connection: " + cause);
}

bool Session::queue_to_client(Bytes bytes) {
  if (to_client_.waiting_bytes() > 0) {
    to_client_.add_waiting(bytes);
    return true;
  }
  if (bytes.empty()) return true;
  const IoResult result = client_.write(bytes);
  if (result.kind == IoResult::Kind::kError) {
    vanish();
    return false;
  }
  if (result.bytes == bytes.size()) return true;
  to_client_.add_waiting(bytes.subspan(result.bytes));
  client_.await_writable(true);
  if (server_) server_->pause_reading(PauseReason::kPeerBufferFull);
  return true;
}

// False: another pgkeel may have opened another route by now, and the link to the server is gone.
bool Session::may_write_to_server() {
  if (!access_point_.shared().write_deadline.is_over()) return true;
  const std::string cause = "this pgkeel has not renewed its lease in time";
  server_->reset();
  if (state_ == State::kEstablished) {
    count_end();
    end_with_error(SqlState::kAdminShutdown, "terminating connection: " + cause);
  } else if (login_can_be_repeated()) {
    attempt_lost(cause);
  } else {
    end_with_error(SqlState::kCannotConnect, "could not connect: " + cause);
  }
  return false;
}

bool Session::queue_to_server(Bytes bytes) {
  if (bytes.empty()) return true;
  if (!may_write_to_server()) return false;
  const IoResult result = server_->write(bytes);
  if (result.kind == IoResult::Kind::kError) {
    server_write_failed();
    return false;
  }
  if (result.bytes == bytes.size()) return true;
  to_server_.add_waiting(bytes.subspan(result.bytes));
  server_->await_writable(true);
  client_.pause_reading(PauseReason::kPeerBufferFull);
  return true;
}

bool Session::flush_to_client() {
  while (to_client_.waiting_bytes() > 0) {
    const IoResult result = client_.write(to_client_.waiting());
    if (result.kind == IoResult::Kind::kError) {
      vanish();
      return false;
    }
    if (result.kind == IoResult::Kind::kWouldBlock) {
      client_.await_writable(true);
      return true;
    }
    to_client_.sent(result.bytes);
  }
  client_.await_writable(false);
  if (state_ == State::kClosing) {
    all_is_sent();
    return state_ != State::kGone;
  }
  if (server_) server_->resume_reading(PauseReason::kPeerBufferFull);
  return true;
}

// False: the server's link is gone. After a failed write it is there, with the server's last words.
bool Session::flush_to_server() {
  while (to_server_.waiting_bytes() > 0) {
    if (!may_write_to_server()) return false;
    const IoResult result = server_->write(to_server_.waiting());
    if (result.kind == IoResult::Kind::kError) {
      server_write_failed();
      return true;
    }
    if (result.kind == IoResult::Kind::kWouldBlock) return true;
    to_server_.sent(result.bytes);
  }
  server_->await_writable(false);
  client_.resume_reading(PauseReason::kPeerBufferFull);
  return true;
}

void Session::server_write_failed() {
  // The server takes no more, but its last words may be still to be read: the end of the session is found there.
  to_server_.clear();
  server_->await_writable(false);
  client_.pause_reading(PauseReason::kPeerBufferFull);
}

}  // namespace pgkeel
