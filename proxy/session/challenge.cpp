// The part of Session in which a client proves who it is: what the server asks it for passes to it, and its answers
// back, but for SCRAM exchanges that are joined (scram.cpp).
#include <utility>

#include "proxy/io/loop.h"
#include "proxy/session/access_point.h"
#include "proxy/session/session.h"
#include "proxy/wire/messages.h"
#include "proxy/wire/scram_messages.h"

namespace pgkeel {
namespace {

constexpr std::uint32_t kAuthenticationOk = 0;
constexpr std::size_t kAnswerBytesMax = 65536;  // PostgreSQL's own limit

}  // namespace

bool Session::login_can_be_repeated() const {
  return !login_->challenge_forwarded || (scram_ && scram_->client_is_proven());
}

void Session::authentication_asked(Bytes message) {
  const auto code = authentication_code(message);
  if (code && scram_takes(*code, message)) return;
  const bool is_proven = scram_ && scram_->client_is_proven();
  if (code == kAuthenticationOk) {
    if (is_proven) settle_with_client(message);
    leave_unproven();
    login_->authenticated = true;
    client_.pause_reading(PauseReason::kLogin);  // a login that may be repeated must not have taken more from it
    run_clock(Clock::kLogin);
    return;
  }
  access_point_.waiting_room().attempt_answered(*this);
  if (is_proven) {
    // The client's exchange is over, or will be with AuthenticationSASLFinal: it would not understand another one.
    end_with_error(SqlState::kCannotConnect, "could not connect: " + node_phrase() +
                                                 " asks for another method of authentication than the server that was "
                                                 "lost during the login");
    return;
  }
  // From here on the login can't be repeated: a nonce or a salt is good for one server only.
  login_->challenge_forwarded = true;
  run_clock(Clock::kLogin);
  if (code != kAuthenticationSaslFinal) await_words();
  forward_kept_back();
}

// The client is asked for something.
void Session::await_words() {
  client_.resume_reading(PauseReason::kLogin);
  auto& services = access_point_.services();
  if (!unproven_) unproven_ = services.unproven.add(*this, services.loop.now());
}

void Session::leave_unproven() {
  if (unproven_) access_point_.services().unproven.remove(*unproven_);
  unproven_.reset();
}

void Session::give_up_login() {
  end_with_error(SqlState::kCannotConnect,
                 "could not connect: the client did not answer what the server asked it for "
                 "within " +
                     format_duration(UnprovenLogins::kPatience) + ", and others wait for its place");
}

// One answer for each challenge, and nothing behind it: what a client sends ahead must not reach a server whose role is
// not known.
void Session::read_client_words() {
  while (state_ == State::kLogin && !client_.reading_paused()) {
    std::size_t wanted = kMessageHeaderBytes;
    if (client_words_.size() >= kMessageHeaderBytes) {
      wanted = std::size_t{read_uint32(as_bytes(client_words_).subspan(1, 4))} + 1;
      const char type = client_words_.front();
      if (type == 'X') return vanish();
      if (type != 'p' || wanted < kMessageHeaderBytes || wanted > (scram_ ? kWholeMessageBytes : kAnswerBytesMax)) {
        end_with_error(SqlState::kProtocolViolation, "expected the client's answer to what the server asked it for");
        return;
      }
    }
    if (client_words_.size() < wanted) {
      if (!read_exactly(client_words_, wanted)) return;
      continue;
    }
    leave_unproven();
    if (!scram_) return pass_on_client_words();
    const ScramBridge::Step step = scram_->client_says(as_bytes(client_words_));
    const bool passes = step.kind == ScramBridge::Step::Kind::kPassOn;
    if (!passes) wipe(client_words_);
    take_scram_step(step);
  }
}

void Session::pass_on_client_words() {
  scram_.reset();
  client_.pause_reading(PauseReason::kLogin);
  std::string words = std::exchange(client_words_, {});
  pass_on_from_client(std::as_writable_bytes(std::span(words)));
  wipe(words);
}

}  // namespace pgkeel
