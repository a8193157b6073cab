#include "tests/support/peer.h"

#include <arpa/inet.h>
#include <array>
#include <cerrno>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <stdexcept>
#include <sys/socket.h>
#include <system_error>
#include <unistd.h>
#include <utility>

namespace pgkeel::test {
namespace {

constexpr int kLimitMilliseconds = 30'000;

[[noreturn]] void fail(const char* what) {
  throw std::system_error(errno, std::generic_category(), what);
}

sockaddr_in loopback(std::uint16_t port) {
  sockaddr_in address{};
  address.sin_family = AF_INET;
  address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
  address.sin_port = htons(port);
  return address;
}

void wait_for(int descriptor, short events, const char* what) {
  pollfd watched{.fd = descriptor, .events = events, .revents = 0};
  const int ready = poll(&watched, 1, kLimitMilliseconds);
  if (ready < 0) fail(what);
  if (ready == 0) throw std::runtime_error(std::string(what) + ": nothing happened in time");
}

bool ready_now(int descriptor) {
  pollfd watched{.fd = descriptor, .events = POLLIN, .revents = 0};
  return poll(&watched, 1, 0) > 0;
}

int new_socket() {
  const int descriptor = ::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
  if (descriptor < 0) fail("socket");
  return descriptor;
}

// `from`: the client's own address, as a number; null: the system's choice.
int try_to_connect(std::uint16_t port, const char* from = nullptr) {
  const int descriptor = new_socket();
  if (from != nullptr) {
    sockaddr_in own = loopback(0);
    inet_pton(AF_INET, from, &own.sin_addr);
    if (::bind(descriptor, reinterpret_cast<const sockaddr*>(&own), sizeof own) != 0) fail("bind");
  }
  const sockaddr_in address = loopback(port);
  if (::connect(descriptor, reinterpret_cast<const sockaddr*>(&address), sizeof address) == 0) return descriptor;
  const int error = errno;
  ::close(descriptor);
  errno = error;
  return -1;
}

}  // namespace

Peer::Peer(int descriptor) : descriptor_(descriptor) {
  const int on = 1;
  setsockopt(descriptor_, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);
}

Peer::Peer(Peer&& other) noexcept
    : descriptor_(std::exchange(other.descriptor_, -1)), ended_by_reset_(other.ended_by_reset_) {}

Peer& Peer::operator=(Peer&& other) noexcept {
  close();
  descriptor_ = std::exchange(other.descriptor_, -1);
  ended_by_reset_ = other.ended_by_reset_;
  return *this;
}

Peer Peer::connect_to(std::uint16_t port, const char* from) {
  const int descriptor = try_to_connect(port, from);
  if (descriptor < 0) fail("connect");
  return Peer(descriptor);
}

bool Peer::can_connect_to(std::uint16_t port) {
  const int descriptor = try_to_connect(port);
  if (descriptor < 0) return false;
  ::close(descriptor);
  return true;
}

void Peer::shrink_buffers() {
  const int bytes = 65536;  // much less, and TCP itself becomes slow
  setsockopt(descriptor_, SOL_SOCKET, SO_RCVBUF, &bytes, sizeof bytes);
  setsockopt(descriptor_, SOL_SOCKET, SO_SNDBUF, &bytes, sizeof bytes);
}

void Peer::send(std::string_view bytes) {
  while (!bytes.empty()) {
    wait_for(descriptor_, POLLOUT, "send");
    const std::size_t sent = send_what_fits(bytes);
    bytes.remove_prefix(sent);
  }
}

std::size_t Peer::send_what_fits(std::string_view bytes) {
  const ssize_t sent = ::send(descriptor_, bytes.data(), bytes.size(), MSG_NOSIGNAL | MSG_DONTWAIT);
  if (sent >= 0) return static_cast<std::size_t>(sent);
  if (errno == EAGAIN) return 0;
  fail("send");
}

void Peer::finish_sending() {
  ::shutdown(descriptor_, SHUT_WR);
}

std::string Peer::receive(std::size_t size) {
  std::string received;
  std::array<char, 65536> buffer{};
  while (received.size() < size) {
    wait_for(descriptor_, POLLIN, "receive");
    const ssize_t count = ::recv(descriptor_, buffer.data(), std::min(buffer.size(), size - received.size()), 0);
    if (count < 0 && errno != ECONNRESET) fail("receive");
    if (count <= 0) {
      ended_by_reset_ = count < 0;
      break;
    }
    received.append(buffer.data(), static_cast<std::size_t>(count));
  }
  return received;
}

std::string Peer::receive_some() {
  std::array<char, 65536> buffer{};
  wait_for(descriptor_, POLLIN, "receive");
  const ssize_t count = ::recv(descriptor_, buffer.data(), buffer.size(), 0);
  if (count < 0 && errno != ECONNRESET) fail("receive");
  if (count <= 0) {
    ended_by_reset_ = count < 0;
    return {};
  }
  return {buffer.data(), static_cast<std::size_t>(count)};
}

std::string Peer::receive_message() {
  std::string received = receive(5);
  if (received.size() < 5) return received;
  std::size_t length = 0;
  for (std::size_t at = 1; at < 5; ++at) length = (length << 8) | static_cast<unsigned char>(received[at]);
  if (length < 4) throw std::runtime_error("a message of invalid length was received");
  return received + receive(length - 4);
}

std::string Peer::receive_to_end() {
  return receive(std::string::npos);
}

bool Peer::has_something_to_read() const {
  return ready_now(descriptor_);
}

void Peer::close() {
  if (descriptor_ >= 0) ::close(std::exchange(descriptor_, -1));
}

void Peer::reset() {
  const linger at_once{.l_onoff = 1, .l_linger = 0};
  setsockopt(descriptor_, SOL_SOCKET, SO_LINGER, &at_once, sizeof at_once);
  close();
}

PeerListener::PeerListener() {
  listen();
}

void PeerListener::listen() {
  descriptor_ = new_socket();
  const int on = 1;
  setsockopt(descriptor_, SOL_SOCKET, SO_REUSEADDR, &on, sizeof on);
  sockaddr_in address = loopback(port_);
  socklen_t size = sizeof address;
  if (::bind(descriptor_, reinterpret_cast<const sockaddr*>(&address), size) != 0) fail("bind");
  if (::listen(descriptor_, 1024) != 0) fail("listen");
  if (getsockname(descriptor_, reinterpret_cast<sockaddr*>(&address), &size) != 0) fail("getsockname");
  port_ = ntohs(address.sin_port);
}

Peer PeerListener::accept() {
  wait_for(descriptor_, POLLIN, "accept");
  const int accepted = ::accept4(descriptor_, nullptr, nullptr, SOCK_CLOEXEC);
  if (accepted < 0) fail("accept");
  return Peer(accepted);
}

bool PeerListener::somebody_waits() const {
  return ready_now(descriptor_);
}

void PeerListener::close() {
  if (descriptor_ >= 0) ::close(std::exchange(descriptor_, -1));
}

void PeerListener::reopen() {
  listen();
}

}  // namespace pgkeel::test
