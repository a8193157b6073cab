// For processes that start where another one is dying: its port may be in use for a moment still. Any thread; blocks.
#pragma once

#include "proxy/base/result.h"
#include "proxy/base/time.h"
#include "proxy/io/socket.h"

namespace pgkeel {

// As Socket::bind_to(), and while the port is in use tries again, for as long as `patience`.
Result<Socket, SystemError> bind_once_free(const SocketAddress& address, Socket::FamilyShare share, Duration patience,
                                           Socket::HostAddress presence = Socket::HostAddress::kNow);

}  // namespace pgkeel
