// A client connection on its way from the listener to the session, or to the cancel forwarder.
#pragma once

#include <memory>

#include "proxy/base/ip_address.h"
#include "proxy/io/descriptor_budget.h"
#include "proxy/io/socket.h"
#include "proxy/io/tls_stream.h"

namespace pgkeel {

struct AcceptedClient {
  DescriptorShare place;        // among those that have not said who they are
  DescriptorShare descriptors;  // declared before the socket: given back when that is closed
  Socket socket;
  IpAddress peer;
  std::unique_ptr<TlsStream> tls = nullptr;  // what it has begun with its socket
};

}  // namespace pgkeel
