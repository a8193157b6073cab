// The part of Session that stands between client and server in a SCRAM exchange, where the two cannot be one: it moves
// the messages that ScramBridge makes.
#include <algorithm>
#include <utility>

#include "proxy/session/access_point.h"
#include "proxy/session/session.h"
#include "proxy/wire/scram_messages.h"

namespace pgkeel {
namespace {

constexpr std::size_t kNameBytesMax = 63;  // PostgreSQL cuts the name of a role in a startup packet

}  // namespace

// The server lets us in, which is the end of the client's exchange too, however many servers it took.
void Session::settle_with_client(Bytes authentication_ok) {
  const std::size_t before = login_->looked_at - authentication_ok.size();
  const std::string owed = scram_->take_owed_to_client();
  login_->kept_back.replace(0, before, owed);
  login_->looked_at += owed.size();
  login_->looked_at -= before;
}

// False: it is no part of an exchange that is joined, and passes.
bool Session::scram_takes(std::uint32_t code, Bytes message) {
  if (code == kAuthenticationSasl) {
    const ScramBridge::Channel server{server_->tls() != nullptr,
                                      server_->tls() ? server_->tls()->peer_end_point_hash() : std::string()};
    if (scram_) {
      scram_->begin_again(server);
    } else {
      scram_ = std::make_shared<ScramBridge>(
          ScramBridge::Channel{client_.tls() != nullptr,
                               client_.tls() ? client_.tls()->own_end_point_hash() : std::string()},
          server);
    }
    const ScramBridge::Step step = scram_->server_offers(message, access_point_.verifiers_can_be_read(node_index_));
    if (step.kind == ScramBridge::Step::Kind::kPassOn) {
      scram_.reset();
      return false;
    }
    drop_login_message(message);
    take_scram_step(step);
    return true;
  }
  if (!scram_ || (code != kAuthenticationSaslContinue && code != kAuthenticationSaslFinal)) return false;
  const ScramBridge::Step step =
      code == kAuthenticationSaslContinue ? scram_->server_challenges(message) : scram_->server_accepts(message);
  drop_login_message(message);
  take_scram_step(step);
  return true;
}

// Of a login that is repeated, nothing that comes before is news to the client.
void Session::drop_login_message(Bytes message) {
  const std::size_t begin = scram_ && scram_->client_is_proven() ? 0 : login_->looked_at - message.size();
  login_->kept_back.erase(begin, login_->looked_at - begin);
  login_->looked_at = begin;
}

void Session::take_scram_step(const ScramBridge::Step& step) {
  using Kind = ScramBridge::Step::Kind;
  access_point_.waiting_room().attempt_answered(*this);
  run_clock(Clock::kLogin);
  switch (step.kind) {
    case Kind::kPassOn:
      pass_on_client_words();
      return;
    case Kind::kAskForVerifier:
      ask_for_verifier();
      return;
    case Kind::kTellClient:
      if (step.text.empty()) return;
      login_->challenge_forwarded = true;
      login_->kept_back.insert(login_->looked_at, step.text);
      login_->looked_at += step.text.size();
      if (!scram_->client_is_proven()) await_words();
      forward_kept_back();
      return;
    case Kind::kTellServer:
      client_.pause_reading(PauseReason::kLogin);  // until it is asked for more
      queue_to_server(as_bytes(step.text));
      return;
    case Kind::kRefuse:
      end_with_error(step.refusal.sqlstate, step.refusal.message);
      return;
  }
}

void Session::ask_for_verifier() {
  client_.pause_reading(PauseReason::kLogin);
  std::string user = startup_parameter(as_bytes(startup_packet_), "user");
  user.resize(std::min(user.size(), kNameBytesMax));
  access_point_.services().verifier_source(
      {.cluster = access_point_.shared().name, .node = target_.node, .user = std::move(user)},
      [this, asked = std::weak_ptr<ScramBridge>(scram_)](VerifierAnswer answer) {
        if (asked.expired() || state_ != State::kLogin) return;  // the login has ended, or begun anew
        access_point_.note_verifiers(node_index_, answer.readable);
        const ScramBridge::Step step = scram_->verifier_is_here(std::move(answer));
        take_scram_step(step);
      });
}

}  // namespace pgkeel
