// The part of Session that puts TLS between itself and the client (on request, or from the first byte on), and between
// itself and the server.
#include <utility>

#include "proxy/io/loop.h"
#include "proxy/session/access_point.h"
#include "proxy/session/session.h"
#include "proxy/wire/startup.h"

namespace pgkeel {
namespace {

constexpr unsigned kEncryptionRequestsMax = 2;  // one for SSL, one for GSSAPI, in either order

}  // namespace

bool Session::must_encrypt() const {
  const ClientTlsMode mode = access_point_.settings().client_tls_mode;
  return mode == ClientTlsMode::kRequire || mode == ClientTlsMode::kVerifyClient;
}

void Session::encryption_requested(bool for_tls) {
  if (client_.tls()) {
    end_with_error(SqlState::kProtocolViolation, "received an encryption request inside of TLS");
    return;
  }
  // What came behind the request was sent in the hope of being taken for encrypted (CVE-2021-23214).
  if (client_.has_unread_bytes()) {
    end_with_error(SqlState::kProtocolViolation, "received unencrypted data after an encryption request");
    return;
  }
  set_silent(false);
  if (++encryption_requests_ > kEncryptionRequestsMax) {
    end_with_error(SqlState::kProtocolViolation, "too many encryption requests");
    return;
  }
  startup_packet_.clear();
  startup_packet_size_ = 0;
  const bool accepted = for_tls && access_point_.tls().clients;
  if (accepted && !is_allowed()) return refuse_not_allowed();  // a handshake costs us more than it does anybody else
  const char answer = accepted ? kTlsAccepted : kTlsRefused;
  if (queue_to_client(as_bytes(std::string_view(&answer, 1))) && accepted) begin_tls({});
}

void Session::begin_direct_tls() {
  if (!is_allowed()) return vanish();  // what it would understand is TLS
  tls_is_direct_ = true;
  begin_tls(as_bytes(std::exchange(startup_packet_, {})));
}

void Session::begin_tls(Bytes already_read) {
  set_silent(false);
  client_.start_tls(TlsStream::accepting(access_point_.tls().clients, already_read));
  go_on_with_handshake();
}

void Session::go_on_with_handshake() {
  switch (client_.shake_hands()) {
    case TlsStream::Progress::kNeedsRead:
    case TlsStream::Progress::kNeedsWrite:
      return;
    case TlsStream::Progress::kFailed:
      // What is wrong was said in an alert.
      access_point_.handshake_failed(peer_, client_.tls()->problem());
      client_.abandon_tls();
      begin_closing();
      return;
    case TlsStream::Progress::kDone:
      break;
  }
  access_point_.counters().client_handshakes.add();
  // Without ALPN a client of another protocol could be made to speak to us (the server's rule too).
  if (tls_is_direct_ && !client_.tls()->agreed_on_postgresql()) {
    end_with_error(SqlState::kProtocolViolation,
                   "received a direct TLS connection request without the ALPN protocol \"postgresql\"");
    return;
  }
  // A handshake takes a few round trips: the client's time to say who it is begins anew.
  if (newcomer_) {
    access_point_.services().newcomers.remove(*newcomer_);
    become_newcomer();
  }
  read_startup();
}

void Session::secure_server() {
  state_ = State::kSecuring;
  run_clock(Clock::kHold);
  securing_ = std::make_unique<TlsOpening>(access_point_.tls().servers, target_.address.host);
  go_on_securing();
}

void Session::go_on_securing() {
  const TlsOpening::Progress progress = securing_->go_on(*server_);
  if (progress == TlsOpening::Progress::kUnderWay) return;
  const std::string cause = node_phrase() + " " + securing_->problem();
  securing_.reset();
  switch (progress) {
    case TlsOpening::Progress::kUnderWay:
    case TlsOpening::Progress::kDone:
      access_point_.heard_from(node_index_, access_point_.services().loop.now());
      begin_login();
      return;
    case TlsOpening::Progress::kBroken:
      attempt_lost(LinkEvidence::Kind::kBroken, cause);
      return;
    case TlsOpening::Progress::kRefused:
      // Another attempt would end in the same way: somebody has to mend it.
      access_point_.waiting_room().attempt_answered(*this);
      access_point_.report(LinkEvidence::Kind::kNotSecure, target_.node, epoch_, cause);
      end_with_error(SqlState::kCannotConnect, "could not connect: " + cause);
      return;
  }
}

}  // namespace pgkeel
