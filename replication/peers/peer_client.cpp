#include "replication/peers/peer_client.h"

#include <utility>

namespace pgkeel {
namespace {

constexpr long kOk = 200;

HttpTransferTls tls_of(const TlsIdentity& identity) {
  return {.authority_pem = identity.authority.pem,
          .certificate_pem = identity.certificate.pem,
          .key_pem = identity.key.pem,
          .role = CertificateRole::kProxy};
}

// What `parse` makes of the body.
template <class Value, class Parse>
auto then(std::function<void(Result<Value>)> done, Parse parse) {
  return [done = std::move(done), parse](const Result<std::string>& body) {
    if (!body) return done(body.error());
    done(parse(*body));
  };
}

}  // namespace

PeerClient::PeerClient(Loop& loop, const TlsIdentity& identity) : tls_(tls_of(identity)), transfers_(loop) {}

void PeerClient::use(const TlsIdentity& identity) {
  tls_ = tls_of(identity);
}

void PeerClient::ask(const std::string& address, std::string_view call, std::string body, Duration limit,
                     std::function<void(Result<std::string> body)> done) {
  HttpTransfer transfer;
  transfer.url = "https://" + address + std::string(kPeerPathPrefix) + std::string(call);
  transfer.body = std::move(body);
  transfer.tls = tls_;
  transfer.limit = limit;
  const std::string url = transfer.url;
  transfers_.start(std::move(transfer), [url, done = std::move(done)](Result<HttpTransferAnswer> answer) {
    if (!answer) return done(answer.error());
    if (answer->status != kOk) return done(Error{url + ": answered " + std::to_string(answer->status)});
    done(std::move(answer->body));
  });
}

void PeerClient::ask_promise(const std::string& address, const PromiseRequest& request, Duration limit,
                             std::function<void(Result<Promise> promise)> done) {
  ask(address, "/promise", to_json(request), limit, then<Promise>(std::move(done), parse_promise));
}

void PeerClient::ask_view(const std::string& address, Duration limit, std::function<void(Result<PeerView> view)> done) {
  ask(address, "/view", {}, limit, then<PeerView>(std::move(done), parse_peer_view));
}

void PeerClient::send_cancel(const std::string& address, const PeerCancel& cancel, Duration limit,
                             std::function<void(bool is_forwarded)> done) {
  ask(address, "/cancel", to_json(cancel), limit,
      [done = std::move(done)](const Result<std::string>& body) { done(body && parse_cancel_answer(*body)); });
}

}  // namespace pgkeel
