#include "proxy/io/knock.h"

#include <cassert>
#include <cerrno>
#include <cstring>
#include <sys/socket.h>
#include <utility>

#include "proxy/io/fd_watch.h"
#include "proxy/io/loop.h"

namespace pgkeel {
namespace {

// On loopback, a connect to a port where nobody listens can meet itself, when the kernel picks that very port for our
// end.
bool met_itself(int descriptor) {
  sockaddr_storage ours{};
  sockaddr_storage theirs{};
  socklen_t our_size = sizeof ours;
  socklen_t their_size = sizeof theirs;
  if (getsockname(descriptor, reinterpret_cast<sockaddr*>(&ours), &our_size) != 0) return false;
  if (getpeername(descriptor, reinterpret_cast<sockaddr*>(&theirs), &their_size) != 0) return false;
  return ours.ss_family != AF_UNIX && our_size == their_size && std::memcmp(&ours, &theirs, our_size) == 0;
}

}  // namespace

KnockResult classify_connect_error(int error) {
  switch (error) {
    case 0:
      return KnockResult::kOpened;
    case ECONNREFUSED:
    case ENOENT:  // the Unix socket is gone
      return KnockResult::kRefused;
    case EMFILE:
    case ENFILE:
    case ENOBUFS:
    case ENOMEM:
    case ENETUNREACH:
    case ENETDOWN:
    case EADDRNOTAVAIL:
    case EAFNOSUPPORT:
    case EACCES:
    case EPERM:
    case EINVAL:
    case ENAMETOOLONG:
      return KnockResult::kOwnTrouble;
    default:
      return KnockResult::kNoAnswer;
  }
}

struct Knock::Attempt {
  Socket socket;
  std::unique_ptr<FdWatch> watch;

  void hang_up() {
    watch.reset();
    socket.close();
  }
};

Knock::Knock(Loop& loop, const HostPort& server, const std::vector<SocketAddress>& addresses,
             std::function<void(Outcome)> done)
    : loop_(loop), server_(format_host_port(server)), done_(std::move(done)) {
  assert(!addresses.empty());
  running_ = addresses.size();
  for (const auto& address : addresses) begin(address);
}

Knock::~Knock() {
  for (const auto& attempt : attempts_) attempt->hang_up();
}

void Knock::begin(const SocketAddress& address) {
  auto& attempt = *attempts_.emplace_back(std::make_unique<Attempt>());
  auto socket = Socket::connect_to(address);
  if (!socket) return ended(attempt, socket.error().code);
  attempt.socket = std::move(*socket);
  attempt.watch = std::make_unique<FdWatch>(loop_, attempt.socket.descriptor(), [this, &attempt](FdInterest) {
    ended(attempt, attempt.socket.take_error());
  });
  attempt.watch->set_interest({.writable = true});
}

void Knock::ended(Attempt& attempt, int error) {
  if (error == 0 && met_itself(attempt.socket.descriptor())) error = ECONNREFUSED;
  attempt.hang_up();
  running_ -= 1;
  const auto result = classify_connect_error(error);
  if (best_.detail.empty() || result > best_.result) {
    best_ = {result, "connect to " + server_ + ": " + describe_system_error(error)};
  }
  if (running_ == 0 || result == KnockResult::kOpened) finish_later();
}

void Knock::finish_later() {
  if (std::exchange(finishing_, true)) return;
  loop_.defer([this, alive = std::weak_ptr(alive_)] {
    if (alive.expired()) return;
    for (const auto& attempt : attempts_) attempt->hang_up();
    if (best_.result == KnockResult::kOpened) best_.detail.clear();
    const auto done = std::move(done_);  // it may destroy us
    done(std::move(best_));
  });
}

}  // namespace pgkeel
