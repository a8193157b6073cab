#include "proxy/io/patient_bind.h"

#include <cerrno>
#include <thread>

#include "proxy/io/clock.h"

namespace pgkeel {
namespace {

constexpr Duration kLookAgain = std::chrono::milliseconds(5);  // the kernel tells nobody when a port is free again

}  // namespace

Result<Socket, SystemError> bind_once_free(const SocketAddress& address, Socket::FamilyShare share, Duration patience,
                                           Socket::HostAddress presence) {
  const Instant until = monotonic_now() + patience;
  while (true) {
    auto socket = Socket::bind_to(address, share, presence);
    if (socket || socket.error().code != EADDRINUSE || monotonic_now() >= until) return socket;
    std::this_thread::sleep_for(kLookAgain);
  }
}

}  // namespace pgkeel
