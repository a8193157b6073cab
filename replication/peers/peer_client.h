// Asks other pgkeels, over HTTPS with certificates on both sides: the other's must bear its host and be a pgkeel's, not
// an agent's. Loop's thread only; callbacks come later, once, and not any more when this is gone.
#pragma once

#include <functional>
#include <optional>
#include <string>

#include "proxy/base/result.h"
#include "proxy/base/time.h"
#include "proxy/io/certificates.h"
#include "proxy/io/http_transfers.h"
#include "replication/peers/peer_protocol.h"

namespace pgkeel {

class PeerClient {
 public:
  PeerClient(Loop& loop, const TlsIdentity& identity);

  // For requests from now on.
  void use(const TlsIdentity& identity);

  // `address`: "HOST:PORT". `limit`: for all of it.
  void ask_promise(const std::string& address, const PromiseRequest& request, Duration limit,
                   std::function<void(Result<Promise> promise)> done);
  void ask_view(const std::string& address, Duration limit, std::function<void(Result<PeerView> view)> done);
  // Whether that pgkeel had the session, and carried the request to its server.
  void send_cancel(const std::string& address, const PeerCancel& cancel, Duration limit,
                   std::function<void(bool is_forwarded)> done);

 private:
  void ask(const std::string& address, std::string_view call, std::string body, Duration limit,
           std::function<void(Result<std::string> body)> done);

  HttpTransferTls tls_;
  HttpTransfers transfers_;
};

}  // namespace pgkeel
