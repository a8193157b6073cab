#include "proxy/upstream/tls_opening.h"

#include <cstddef>
#include <span>
#include <utility>

#include "proxy/base/bytes.h"
#include "proxy/wire/startup.h"

namespace pgkeel {

TlsOpening::Progress TlsOpening::go_on(Link& link) {
  switch (stage_) {
    case Stage::kAsking: {
      const std::string request = build_ssl_request();
      const IoResult written = link.write(as_bytes(request));
      if (written.kind == IoResult::Kind::kError) return end(Progress::kBroken, describe_system_error(written.error));
      if (written.bytes != request.size()) return end(Progress::kBroken, "does not take an SSLRequest");
      stage_ = Stage::kAwaitingAnswer;
      return Progress::kUnderWay;
    }
    case Stage::kAwaitingAnswer:
      return read_answer(link);
    case Stage::kShakingHands:
      return shake_hands(link);
  }
  return Progress::kBroken;
}

TlsOpening::Progress TlsOpening::end(Progress progress, std::string problem) {
  problem_ = std::move(problem);
  return progress;
}

TlsOpening::Progress TlsOpening::read_answer(Link& link) {
  std::byte answer{};
  const IoResult result = link.read(std::span(&answer, 1));
  switch (result.kind) {
    case IoResult::Kind::kWouldBlock:
      return Progress::kUnderWay;
    case IoResult::Kind::kEnd:
      return end(Progress::kBroken, "closed the connection instead of an answer to SSLRequest");
    case IoResult::Kind::kError:
      return end(Progress::kBroken, describe_system_error(result.error));
    case IoResult::Kind::kBytes:
      break;
  }
  switch (static_cast<char>(answer)) {
    case kTlsAccepted:
      break;
    case kTlsRefused:
      return end(Progress::kRefused, "does not take TLS connections (its ssl is off), and server_tls demands them");
    case 'E':  // what it says could be anybody's words, and is not passed on (CVE-2024-10977)
      return end(Progress::kBroken, "answered SSLRequest with an error");
    default:
      return end(Progress::kRefused, "answered SSLRequest with nonsense");
  }
  // What came behind the answer in clear would be taken for encrypted (CVE-2021-23222).
  if (link.has_unread_bytes()) return end(Progress::kRefused, "sent unencrypted data behind its answer to SSLRequest");
  link.start_tls(TlsStream::connecting(context_, host_));
  stage_ = Stage::kShakingHands;
  return shake_hands(link);
}

TlsOpening::Progress TlsOpening::shake_hands(Link& link) {
  switch (link.shake_hands()) {
    case TlsStream::Progress::kNeedsRead:
    case TlsStream::Progress::kNeedsWrite:
      return Progress::kUnderWay;
    case TlsStream::Progress::kDone:
      return Progress::kDone;
    case TlsStream::Progress::kFailed:
      break;
  }
  return end(link.tls()->connection_broke() ? Progress::kBroken : Progress::kRefused,
             "failed the TLS handshake: " + link.tls()->problem());
}

}  // namespace pgkeel
