// The part of Session that brings a client to a server: its startup packet, the wait, the connection, the server's
// login up to the first ReadyForQuery.
#include <algorithm>
#include <utility>

#include "proxy/io/knock.h"
#include "proxy/io/loop.h"
#include "proxy/session/access_point.h"
#include "proxy/session/session.h"
#include "proxy/wire/application_name.h"
#include "proxy/wire/messages.h"
#include "proxy/wire/startup.h"

namespace pgkeel {
namespace {

constexpr std::size_t kKeptBackBytesMax = 65536;
constexpr Duration kFirstAttemptTime = std::chrono::seconds(1);
constexpr std::string_view kTooManyConnections = "53300";

}  // namespace

void Session::read_startup() {
  while (state_ == State::kStartup && !client_.is_shaking_hands()) {
    const std::size_t wanted = startup_packet_size_ == 0 ? 4 : startup_packet_size_;
    if (!read_exactly(startup_packet_, wanted)) return;
    if (startup_packet_size_ == 0) {
      if (begins_like_tls(as_bytes(startup_packet_)) && access_point_.tls().clients && !client_.tls()) {
        begin_direct_tls();
        return;
      }
      const auto size = startup_packet_size(as_bytes(startup_packet_));
      if (!size) {
        vanish();  // a port scan, TLS without asking, HTTP: nothing that would understand an error
        return;
      }
      startup_packet_size_ = *size;
    } else {
      handle_startup_packet();
    }
  }
}

void Session::handle_startup_packet() {
  const auto packet = parse_startup(as_bytes(startup_packet_));
  if (!packet) {
    end_with_error(SqlState::kProtocolViolation, packet.error().message);
    return;
  }
  if (const auto* cancel = std::get_if<CancelRequest>(&*packet)) {
    // Who may not log in may not cancel either: a key can be overheard. There is no answer to a cancel request.
    if (!is_allowed()) {
      vanish();
      return;
    }
    auto [socket, tls] = client_.release();
    access_point_.forward_cancel(
        {std::move(newcomer_place_), std::move(descriptors_), std::move(socket), peer_, std::move(tls)}, cancel->key,
        std::exchange(startup_packet_, {}));
    vanish();
    return;
  }
  if (const auto* unsupported = std::get_if<UnsupportedProtocol>(&*packet)) {
    end_with_error(SqlState::kFeatureNotSupported,
                   "unsupported frontend protocol " + std::to_string(unsupported->major_version) + "." +
                       std::to_string(unsupported->minor_version) + ": pgkeel speaks 3.0 to 3.2");
    return;
  }
  if (std::holds_alternative<StartupMessage>(*packet)) {
    if (access_point_.settings().tells_client_addresses)
      startup_packet_ = with_client_address(std::move(startup_packet_), format_ip_address(peer_));
    take_a_place();
    return;
  }
  encryption_requested(std::holds_alternative<SslRequest>(*packet));
}

bool Session::is_allowed() const {
  return access_point_.settings().allow_list.allows(peer_);
}

void Session::refuse_not_allowed() {
  end_with_error(SqlState::kNotAllowed, "client address " + format_ip_address(peer_) +
                                            " is not allowed to use cluster \"" + access_point_.shared().name + "\"");
}

void Session::take_a_place() {
  if (!is_allowed()) return refuse_not_allowed();
  if (must_encrypt() && !client_.tls()) {
    end_with_error(SqlState::kNotAllowed, "cluster \"" + access_point_.shared().name +
                                              "\" takes encrypted connections only (client_tls is \"" +
                                              client_tls_mode_name(access_point_.settings().client_tls_mode) +
                                              "\"): connect with sslmode=require or higher");
    return;
  }
  if (nothing_to_wait_for()) return tell_of_stop();
  auto& services = access_point_.services();
  const std::uint32_t most = services.clients_max;
  const auto take = [&] {
    if (!counted_as_client_) {
      counted_as_client_ = services.clients.fetch_add(1, std::memory_order_relaxed) < most;
      if (!counted_as_client_) services.clients.fetch_sub(1, std::memory_order_relaxed);
    }
    return counted_as_client_ && descriptors_.grow();
  };
  if (!take() && !(services.unproven.end_longest_silent(services.loop.now()) && take())) {
    const std::uint32_t configured = services.limits.max_client_connections;
    end_with_error(SqlState::kTooManyConnections,
                   most == configured && !counted_as_client_
                       ? "too many clients: max_client_connections of pgkeel is " + std::to_string(configured)
                       : "too many clients: the limit on open files leaves pgkeel room for " + std::to_string(most));
    return;
  }
  leave_newcomers();
  login_ = std::make_unique<Login>();
  client_.pause_reading(PauseReason::kLogin);
  state_ = State::kWaiting;
  access_point_.waiting_room().enter(*this);
}

void Session::become_newcomer() {
  newcomer_ = access_point_.services().newcomers.add(*this, access_point_.services().loop.now());
  set_silent(encryption_requests_ == 0 && !client_.tls());
}

void Session::set_silent(bool silent) {
  if (std::exchange(is_silent_, silent) == silent) return;
  if (silent)
    access_point_.counters().silent.add();
  else
    access_point_.counters().silent.subtract();
}

void Session::leave_newcomers() {
  if (newcomer_) access_point_.services().newcomers.remove(*newcomer_);
  newcomer_.reset();
  newcomer_place_.shrink_to(0);
  set_silent(false);
}

void Session::give_way() {
  // What it said may only not have been read yet.
  if (state_ == State::kStartup && !client_.is_shaking_hands()) read_startup();
  if (!newcomer_) return;
  access_point_.counters().newcomers_dropped.add();
  vanish();
}

void Session::connect_to_server() {
  state_ = State::kConnecting;
  login_->finished_before = access_point_.counters().logins.value();
  const Route& route = access_point_.route();
  // Who was held nearly to the end must have the time to connect now that there is a server.
  if (epoch_ != route.epoch) {
    hold_left_ = std::max(hold_left_, std::min(kFirstAttemptTime, access_point_.services().limits.hold_timeout));
  }
  const ReadTarget chosen = access_point_.choose_server();
  target_ = chosen.server;
  expects_recovery_ = !chosen.is_primary;
  epoch_ = route.epoch;
  node_index_ = access_point_.node_index(target_.node);
  count_as_reader();
  addresses_.clear();
  next_address_ = 0;
  connect_error_ = 0;
  all_addresses_refused_ = true;
  run_clock(Clock::kHold);
  resolving_ =
      access_point_.services().resolver.resolve(target_.address, [this](const Result<Resolver::Addresses>& found) {
        if (!found) {
          attempt_lost(LinkEvidence::Kind::kOwnTrouble, found.error().message);
          return;
        }
        addresses_ = *found;
        connect_to_next_address();
      });
}

void Session::connect_to_next_address() {
  server_.reset();
  while (next_address_ < addresses_.size()) {
    auto socket = Socket::connect_to(addresses_[next_address_++]);
    if (socket) {
      socket->set_link_options();
      server_.emplace(access_point_.services().loop, std::move(*socket),
                      [this](FdInterest ready) { server_ready(ready); });
      server_->await_writable(true);
      run_clock(Clock::kHold);
      return;
    }
    note_connect_error(socket.error().code);
  }
  const std::string cause = "connection to " + node_phrase() + " failed: " + describe_system_error(connect_error_);
  if (all_addresses_refused_)
    attempt_lost(LinkEvidence::Kind::kRefused, cause);
  else if (classify_connect_error(connect_error_) == KnockResult::kOwnTrouble)
    attempt_lost(LinkEvidence::Kind::kOwnTrouble, cause);
  else
    attempt_lost(cause);
}

void Session::connection_made() {
  if (const int error = server_->take_error(); error != 0) {
    note_connect_error(error);
    connect_to_next_address();
    return;
  }
  server_->await_writable(false);
  // libpq does not encrypt on a Unix socket either.
  if (access_point_.tls().servers && !target_.address.host.starts_with('/'))
    secure_server();
  else
    begin_login();
}

void Session::begin_login() {
  state_ = State::kLogin;
  run_clock(Clock::kHold);
  queue_to_server(as_bytes(startup_packet_));
}

bool Session::awaits_first_answer() const {
  return (state_ == State::kSecuring || state_ == State::kLogin) && clock_ == Clock::kHold &&
         login_->kept_back.empty() && !login_->silence_reported;
}

void Session::note_connect_error(int code) {
  connect_error_ = code;
  if (classify_connect_error(code) != KnockResult::kRefused) all_addresses_refused_ = false;
}

void Session::attempt_lost(LinkEvidence::Kind kind, std::string cause) {
  access_point_.report(kind, target_.node, epoch_, cause);
  attempt_lost(std::move(cause));
}

void Session::attempt_lost(std::string cause) {
  login_->last_failure = std::move(cause);
  if (access_point_.turn_elsewhere(node_index_))
    access_point_.waiting_room().attempt_answered(*this);
  else
    access_point_.waiting_room().attempt_failed(*this);
  wait_again();
}

void Session::wait_again() {
  is_reader_ = {};
  resolving_ = {};
  securing_.reset();
  if (scram_ && !scram_->client_is_proven()) scram_.reset();
  wipe(client_words_);
  server_.reset();
  to_server_.clear();
  std::string last_failure = std::move(login_->last_failure);
  *login_ = {};
  login_->last_failure = std::move(last_failure);
  state_ = State::kWaiting;
  access_point_.waiting_room().enter(*this);
}

void Session::read_login_answer() {
  const std::span<std::byte> buffer = access_point_.services().small_read_buffer();
  const IoResult result = server_->read(buffer);
  switch (result.kind) {
    case IoResult::Kind::kWouldBlock:
      return;
    case IoResult::Kind::kEnd:
      login_link_lost(node_phrase() + " closed the connection during the login");
      return;
    case IoResult::Kind::kError:
      login_link_lost(node_phrase() + " during the login: " + describe_system_error(result.error));
      return;
    case IoResult::Kind::kBytes:
      break;
  }
  access_point_.counters().bytes_from_servers.add(result.bytes);
  access_point_.heard_from(node_index_, access_point_.services().loop.now());
  login_->kept_back += as_text(buffer.first(result.bytes));
  while (state_ == State::kLogin && handle_login_message()) {
  }
  if (state_ == State::kLogin && login_->kept_back.size() > kKeptBackBytesMax) kept_back_too_much();
}

bool Session::handle_login_message() {
  const std::span<std::byte> rest = std::as_writable_bytes(std::span(login_->kept_back)).subspan(login_->looked_at);
  if (rest.size() < kMessageHeaderBytes) return false;
  const std::size_t length = read_uint32(rest.subspan(1, 4));
  if (length < 4 || length > kMessageLengthMax) {
    if (static_cast<char>(rest[0]) == 'E' && login_can_be_repeated()) {
      // A postmaster that could not fork says so as protocol 2 had it, a text behind the letter.
      attempt_lost(node_phrase() + " could not start a process for the connection");
      return false;
    }
    end_with_error(SqlState::kProtocolViolation, "could not connect: " + node_phrase() + " sent nonsense");
    return false;
  }
  if (rest.size() < length + 1) return false;
  const std::span<std::byte> message = rest.first(length + 1);
  login_->looked_at += message.size();
  if (login_->role_question) {
    hear_role(message);
    return true;
  }
  switch (static_cast<char>(message[0])) {
    case 'R':
      authentication_asked(message);
      break;
    case 'E':
      login_refused(message);
      break;
    case 'S':
      if (const auto parameter = parse_parameter_status(message); parameter && parameter->name == "in_hot_standby") {
        login_->in_recovery = parameter->value == "on";
      }
      break;
    case 'K':
      login_->cancel_key = parse_backend_key_data(message);
      break;
    case 'Z':
      login_is_ready();
      break;
    default:
      break;
  }
  return true;
}

void Session::login_refused(std::span<std::byte> message) {
  announce_crash_as_shutdown(message);
  const ErrorFields fields = parse_error_fields(message);
  const bool starting = fields.sqlstate == "57P03";
  const bool stopping = fields.sqlstate == "57P01";
  if (login_can_be_repeated() && (starting || stopping)) {
    const std::string cause = node_phrase() + ": " + std::string(fields.message);
    if (starting)
      attempt_lost(LinkEvidence::Kind::kStarting, cause);
    else
      attempt_lost(cause);
    return;
  }
  if (fields.sqlstate == kTooManyConnections) {
    leave_unproven();
    auto& services = access_point_.services();
    services.unproven.end_longest_silent(services.loop.now());
  }
  // A wrong password, an unknown database, too many connections: the server's word to its client.
  access_point_.waiting_room().attempt_answered(*this);
  server_said_goodbye_ = fields.ends_session();
  forward_kept_back();
}

void Session::login_link_lost(std::string cause) {
  if (server_said_goodbye_) {
    begin_closing();
    return;
  }
  if (login_can_be_repeated()) {
    attempt_lost(LinkEvidence::Kind::kBroken, std::move(cause));
    return;
  }
  access_point_.report(LinkEvidence::Kind::kBroken, target_.node, epoch_, cause);
  end_with_error(SqlState::kCannotConnect, "could not connect: " + cause);
}

void Session::kept_back_too_much() {
  // Parameters come before the key: where that is there, the role is known as far as the server tells it.
  if (login_->authenticated && login_->cancel_key && role_is_right()) {
    finish_login();
    return;
  }
  end_with_error(SqlState::kProtocolViolation,
                 "could not connect: the login answer of " + node_phrase() + " is too big");
}

void Session::forward_kept_back() {
  if (!queue_to_client(as_bytes(std::string_view(login_->kept_back).substr(0, login_->looked_at)))) return;
  login_->kept_back.erase(0, login_->looked_at);
  login_->looked_at = 0;
}

}  // namespace pgkeel
