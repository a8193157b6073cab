// Carries one cancel request to the server that owns its key, on a connection of its own; the client's is closed when
// the server has closed that one, which is how libpq knows that the request was seen. It all takes 5s at most, the time
// before start() included: then the request is dropped, as PostgreSQL may drop one too. Loop's thread only.
#pragma once

#include <functional>
#include <memory>
#include <optional>
#include <string>

#include "proxy/base/address.h"
#include "proxy/io/accepted_client.h"
#include "proxy/io/boot_deadline.h"
#include "proxy/io/link.h"
#include "proxy/io/resolver.h"
#include "proxy/io/timer.h"
#include "proxy/upstream/tls_opening.h"

namespace pgkeel {

class Loop;

class CancelForwarder {
 public:
  enum class End {
    kForwarded,
    kNotForwarded,  // the server was not reached in time, or it may not be written to any more
    kNotAllowed,    // refuse(), or nobody said start() in time
  };

  // `on_done` comes once, when all is closed: destroy the forwarder later, not inside it.
  // `client` holds a descriptor for the link to the server too.
  // Past the deadline nothing is sent.
  CancelForwarder(Loop& loop, const BootDeadline& deadline, AcceptedClient client, std::string packet,
                  std::function<void(End)> on_done);
  CancelForwarder(const CancelForwarder&) = delete;
  CancelForwarder& operator=(const CancelForwarder&) = delete;

  // One of these.
  // `tls`: as `server_tls` wants it; null: in clear.
  void start(Resolver& resolver, const HostPort& server, std::shared_ptr<const TlsContext> tls);
  void refuse();

  // The server is not to be reached any more. on_done does not come.
  void abandon();

 private:
  void connect_to_next_address();
  void server_ready(FdInterest ready);
  [[nodiscard]] bool ready_to_send(FdInterest ready);
  void finish();

  Loop& loop_;
  const BootDeadline& deadline_;
  AcceptedClient client_;
  std::string packet_;
  std::function<void(End)> on_done_;
  std::shared_ptr<const TlsContext> tls_;
  std::string host_;
  Resolver::Request resolving_;
  Resolver::Addresses addresses_;
  std::size_t next_address_ = 0;
  std::unique_ptr<Link> server_;
  std::optional<TlsOpening> securing_;
  bool connected_ = false;
  Timer limit_;
  bool started_ = false;
  bool sent_ = false;
};

}  // namespace pgkeel
