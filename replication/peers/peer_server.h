// The door for the other pgkeels of the same clusters: HTTPS with certificates on both sides (README.md lists the
// calls). What is answered comes from the loop's thread, so a pgkeel whose loop stands still answers nothing and
// promises nothing. Loop's thread only.
#pragma once

#include <functional>
#include <memory>
#include <optional>

#include "proxy/base/address.h"
#include "proxy/base/result.h"
#include "proxy/io/tls_session.h"
#include "replication/peers/peer_protocol.h"

namespace pgkeel {

class Loop;

class PeerServer {
 public:
  // Called on the loop's thread.
  struct Answers {
    std::function<std::optional<Promise>(const PromiseRequest& request)> promise;  // nothing: none is given
    std::function<PeerView()> view;
    // `done` once, now or later: whether it was carried to its server. Must not ask other pgkeels.
    std::function<void(const PeerCancel& cancel, std::function<void(bool is_forwarded)> done)> cancel;
  };

  PeerServer(Loop& loop, Answers answers);
  ~PeerServer();  // answers who waits, and ends
  PeerServer(const PeerServer&) = delete;
  PeerServer& operator=(const PeerServer&) = delete;

  // `tls`: lets in pgkeels alone (CertificateRole::kProxy).
  Result<void> listen(const HostPort& address, std::shared_ptr<const TlsAcceptor> tls);
  void use_certificate(std::shared_ptr<const TlsAcceptor> tls);
  [[nodiscard]] std::uint16_t port() const;

 private:
  struct Inner;
  std::unique_ptr<Inner> inner_;
};

}  // namespace pgkeel
