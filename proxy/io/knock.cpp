#include "proxy/io/knock.h"

#include <cassert>
#include <cerrno>
#include <cstring>
#include <netdb.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>
#include <utility>

#include "proxy/base/address.h"
#include "proxy/io/fd_watch.h"
#include "proxy/io/loop.h"

namespace pgkeel {
namespace {

struct SocketAddress {
  sockaddr_storage storage{};
  socklen_t size = 0;  // 0: not an address
};

SocketAddress socket_address(const std::string& address, std::uint16_t port) {
  SocketAddress result;
  if (address.starts_with('/')) {
    const std::string path = address + "/.s.PGSQL." + std::to_string(port);
    sockaddr_un unix_address{};
    if (path.size() >= sizeof unix_address.sun_path) return result;
    unix_address.sun_family = AF_UNIX;
    std::memcpy(unix_address.sun_path, path.c_str(), path.size() + 1);
    std::memcpy(&result.storage, &unix_address, sizeof unix_address);
    result.size = sizeof unix_address;
    return result;
  }
  addrinfo hints{};
  hints.ai_flags = AI_NUMERICHOST | AI_NUMERICSERV;
  hints.ai_socktype = SOCK_STREAM;
  addrinfo* list = nullptr;
  if (getaddrinfo(address.c_str(), std::to_string(port).c_str(), &hints, &list) != 0) return result;
  std::memcpy(&result.storage, list->ai_addr, list->ai_addrlen);
  result.size = list->ai_addrlen;
  freeaddrinfo(list);
  return result;
}

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
  std::string where;
  int descriptor = -1;
  std::unique_ptr<FdWatch> watch;

  void hang_up() {
    watch.reset();
    if (descriptor >= 0) close(descriptor);
    descriptor = -1;
  }
};

Knock::Knock(Loop& loop, const std::vector<std::string>& addresses, std::uint16_t port,
             std::function<void(Outcome)> done)
    : loop_(loop), done_(std::move(done)) {
  assert(!addresses.empty());
  running_ = addresses.size();
  for (const auto& address : addresses) begin(address, port);
}

Knock::~Knock() {
  for (const auto& attempt : attempts_) attempt->hang_up();
}

void Knock::begin(const std::string& address, std::uint16_t port) {
  auto& attempt = *attempts_.emplace_back(std::make_unique<Attempt>());
  attempt.where = format_host_port({address, port});
  const auto target = socket_address(address, port);
  if (target.size == 0) return ended(attempt, EINVAL);
  attempt.descriptor = socket(target.storage.ss_family, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
  if (attempt.descriptor < 0) return ended(attempt, errno);
  if (connect(attempt.descriptor, reinterpret_cast<const sockaddr*>(&target.storage), target.size) == 0) {
    return ended(attempt, 0);
  }
  if (errno != EINPROGRESS) return ended(attempt, errno);
  attempt.watch = std::make_unique<FdWatch>(loop_, attempt.descriptor, [this, &attempt](FdInterest) {
    int error = 0;
    socklen_t size = sizeof error;
    if (getsockopt(attempt.descriptor, SOL_SOCKET, SO_ERROR, &error, &size) != 0) error = errno;
    ended(attempt, error);
  });
  attempt.watch->set_interest({.writable = true});
}

void Knock::ended(Attempt& attempt, int error) {
  if (error == 0 && met_itself(attempt.descriptor)) error = ECONNREFUSED;
  attempt.hang_up();
  running_ -= 1;
  const auto result = classify_connect_error(error);
  if (best_.detail.empty() || result > best_.result) {
    best_ = {result, "connect to " + attempt.where + ": " + std::strerror(error)};
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
