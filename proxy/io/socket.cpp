#include "proxy/io/socket.h"

#include <algorithm>
#include <arpa/inet.h>
#include <array>
#include <cerrno>
#include <cstring>
#include <fcntl.h>
#include <iterator>
#include <linux/filter.h>
#include <linux/tcp.h>  // the struct tcp_info of <netinet/tcp.h> ends before tcpi_notsent_bytes
#include <netinet/in.h>
#include <poll.h>
#include <sys/un.h>
#include <system_error>
#include <unistd.h>
#include <vector>

namespace pgkeel {
namespace {

constexpr int kListenBacklog = 4096;
// For filters: of a TCP header (RFC 9293 section 3.1), and how much of a packet passes.
constexpr std::uint32_t kTcpFlags = 13;
constexpr std::uint32_t kSyn = 0x02;
constexpr std::uint32_t kSynAck = 0x12;
constexpr std::uint32_t kWhole = 0xffff;
constexpr int kKeepaliveIdleSeconds = 30;
constexpr int kKeepaliveIntervalSeconds = 10;
constexpr int kKeepaliveProbes = 3;
constexpr unsigned kAcknowledgeLimitMilliseconds = 60'000;

void set_option(int descriptor, int level, int name, int value) {
  setsockopt(descriptor, level, name, &value, sizeof value);
}

}  // namespace

IpAddress SocketAddress::ip() const {
  IpAddress address;
  if (storage.ss_family == AF_INET6) {
    sockaddr_in6 in6{};
    std::memcpy(&in6, &storage, sizeof in6);
    std::memcpy(address.bytes.data(), &in6.sin6_addr, sizeof in6.sin6_addr);
  } else if (storage.ss_family == AF_INET) {
    sockaddr_in in{};
    std::memcpy(&in, &storage, sizeof in);
    address.bytes[10] = 0xFF;
    address.bytes[11] = 0xFF;
    std::memcpy(address.bytes.data() + 12, &in.sin_addr, sizeof in.sin_addr);
  }
  return address;
}

std::uint16_t SocketAddress::port() const {
  if (storage.ss_family == AF_INET6) {
    sockaddr_in6 in6{};
    std::memcpy(&in6, &storage, sizeof in6);
    return ntohs(in6.sin6_port);
  }
  if (storage.ss_family == AF_INET) {
    sockaddr_in in{};
    std::memcpy(&in, &storage, sizeof in);
    return ntohs(in.sin_port);
  }
  return 0;
}

SocketAddress SocketAddress::with_port(std::uint16_t port) const {
  SocketAddress changed = *this;
  if (storage.ss_family == AF_INET6) {
    sockaddr_in6 in6{};
    std::memcpy(&in6, &storage, sizeof in6);
    in6.sin6_port = htons(port);
    std::memcpy(&changed.storage, &in6, sizeof in6);
  } else if (storage.ss_family == AF_INET) {
    sockaddr_in in{};
    std::memcpy(&in, &storage, sizeof in);
    in.sin_port = htons(port);
    std::memcpy(&changed.storage, &in, sizeof in);
  }
  return changed;
}

std::vector<SocketAddress> numeric_socket_addresses(const HostPort& address) {
  SocketAddress result;
  if (!address.host.empty() && address.host.front() == '/') {
    const std::string path = address.host + "/.s.PGSQL." + std::to_string(address.port);
    sockaddr_un local{};
    if (path.size() >= sizeof local.sun_path) return {};
    local.sun_family = AF_UNIX;
    std::memcpy(local.sun_path, path.c_str(), path.size() + 1);
    std::memcpy(&result.storage, &local, sizeof local);
    result.size = sizeof local;
    return {result};
  }
  sockaddr_in in{};
  if (inet_pton(AF_INET, address.host.c_str(), &in.sin_addr) == 1) {
    in.sin_family = AF_INET;
    in.sin_port = htons(address.port);
    std::memcpy(&result.storage, &in, sizeof in);
    result.size = sizeof in;
    return {result};
  }
  sockaddr_in6 in6{};
  if (inet_pton(AF_INET6, address.host.c_str(), &in6.sin6_addr) == 1) {
    in6.sin6_family = AF_INET6;
    in6.sin6_port = htons(address.port);
    std::memcpy(&result.storage, &in6, sizeof in6);
    result.size = sizeof in6;
    return {result};
  }
  return {};
}

Result<Socket, SystemError> Socket::bind_to(const SocketAddress& address, FamilyShare share, HostAddress presence,
                                            PortUse use) {
  Socket socket(::socket(address.storage.ss_family, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0));
  if (!socket.is_open()) return SystemError{errno};
  set_option(socket.descriptor_, SOL_SOCKET, SO_REUSEADDR, 1);
  if (use == PortUse::kShared) set_option(socket.descriptor_, SOL_SOCKET, SO_REUSEPORT, 1);
  if (address.storage.ss_family == AF_INET6) {
    set_option(socket.descriptor_, IPPROTO_IPV6, IPV6_V6ONLY, share == FamilyShare::kOwnFamilyOnly ? 1 : 0);
  }
  if (presence == HostAddress::kSomeTime) {
    if (address.storage.ss_family == AF_INET6)
      set_option(socket.descriptor_, IPPROTO_IPV6, IPV6_FREEBIND, 1);
    else
      set_option(socket.descriptor_, IPPROTO_IP, IP_FREEBIND, 1);
  }
  if (::bind(socket.descriptor_, reinterpret_cast<const sockaddr*>(&address.storage), address.size) != 0) {
    return SystemError{errno};
  }
  return socket;
}

// What changes the state of the connection is not const, although the object keeps no more than a number.
// NOLINTBEGIN(readability-make-member-function-const)
Result<void, SystemError> Socket::start_listening() {
  hear_everybody();
  if (::listen(descriptor_, kListenBacklog) != 0) return SystemError{errno};
  return {};
}

void Socket::turn_deaf() {
  sock_filter nothing_passes{.code = BPF_RET | BPF_K, .jt = 0, .jf = 0, .k = 0};
  const sock_fprog program{.len = 1, .filter = &nothing_passes};
  setsockopt(descriptor_, SOL_SOCKET, SO_ATTACH_FILTER, &program, sizeof program);
}

// What a filter of a listening socket is given begins with the TCP header; the IP header is before it, at SKF_NET_OFF.
void Socket::turn_deaf_to(const IpAddress& address) {
  constexpr std::size_t kWords = 4;
  constexpr std::size_t kWordOfIpv4 = 3;  // in an IPv4 address that is mapped into IPv6
  constexpr std::uint32_t kNetwork = static_cast<std::uint32_t>(SKF_NET_OFF);
  constexpr std::uint32_t kIpv4Destination = kNetwork + 16;
  constexpr std::uint32_t kIpv6Destination = kNetwork + 24;
  std::array<std::uint32_t, kWords> words{};
  std::memcpy(words.data(), address.bytes.data(), sizeof words);
  const bool for_ipv4 = is_ipv4(address);
  std::vector<sock_filter> program;
  const auto is = [&program](std::uint32_t value) {
    program.push_back({.code = BPF_JMP | BPF_JEQ | BPF_K, .jt = 0, .jf = 0, .k = value});
  };
  const auto load = [&program](unsigned size, std::uint32_t at) {
    program.push_back({.code = static_cast<std::uint16_t>(BPF_LD | size | BPF_ABS), .jt = 0, .jf = 0, .k = at});
  };
  load(BPF_B, kTcpFlags);
  program.push_back({.code = BPF_ALU | BPF_AND | BPF_K, .jt = 0, .jf = 0, .k = kSynAck});
  is(kSyn);
  load(BPF_B, kNetwork);
  program.push_back({.code = BPF_ALU | BPF_AND | BPF_K, .jt = 0, .jf = 0, .k = 0xF0});
  is(for_ipv4 ? 0x40 : 0x60);
  for (std::size_t word = for_ipv4 ? kWordOfIpv4 : 0; word < kWords; ++word) {
    const auto offset = for_ipv4 ? 0 : static_cast<std::uint32_t>(sizeof(std::uint32_t) * word);
    load(BPF_W, (for_ipv4 ? kIpv4Destination : kIpv6Destination) + offset);
    is(ntohl(words.at(word)));
  }
  program.push_back({.code = BPF_RET | BPF_K, .jt = 0, .jf = 0, .k = 0});
  program.push_back({.code = BPF_RET | BPF_K, .jt = 0, .jf = 0, .k = kWhole});
  // Whatever is otherwise passes.
  for (std::size_t at = 0; at < program.size(); ++at) {
    if (BPF_CLASS(program[at].code) == BPF_JMP) program[at].jf = static_cast<std::uint8_t>(program.size() - 2 - at);
  }
  const sock_fprog filter{.len = static_cast<std::uint16_t>(program.size()), .filter = program.data()};
  setsockopt(descriptor_, SOL_SOCKET, SO_ATTACH_FILTER, &filter, sizeof filter);
}

void Socket::hear_everybody() {
  set_option(descriptor_, SOL_SOCKET, SO_DETACH_FILTER, 0);
}

void Socket::hear_no_newcomers() {
  sock_filter no_first_syn[] = {{.code = BPF_LD | BPF_B | BPF_ABS, .jt = 0, .jf = 0, .k = kTcpFlags},
                                {.code = BPF_ALU | BPF_AND | BPF_K, .jt = 0, .jf = 0, .k = kSynAck},
                                {.code = BPF_JMP | BPF_JEQ | BPF_K, .jt = 0, .jf = 1, .k = kSyn},
                                {.code = BPF_RET | BPF_K, .jt = 0, .jf = 0, .k = 0},
                                {.code = BPF_RET | BPF_K, .jt = 0, .jf = 0, .k = kWhole}};
  const sock_fprog program{.len = std::size(no_first_syn), .filter = no_first_syn};
  setsockopt(descriptor_, SOL_SOCKET, SO_ATTACH_FILTER, &program, sizeof program);
}

bool Socket::wait_for_connection(Duration limit) const {
  pollfd waits{.fd = descriptor_, .events = POLLIN, .revents = 0};
  const auto milliseconds = std::chrono::ceil<std::chrono::milliseconds>(std::max(limit, Duration::zero())).count();
  return ::poll(&waits, 1, static_cast<int>(milliseconds)) > 0;
}

void Socket::stop_listening() {
  // Linux: a listening socket that is shut down for reading no longer listens, but is still bound. One that does not
  // listen would keep that, and so would every connection that it accepts once it listens again.
  int listens = 0;
  socklen_t size = sizeof listens;
  if (getsockopt(descriptor_, SOL_SOCKET, SO_ACCEPTCONN, &listens, &size) == 0 && listens != 0)
    ::shutdown(descriptor_, SHUT_RD);
}

std::uint16_t Socket::bound_port() const {
  SocketAddress address;
  address.size = sizeof address.storage;
  if (getsockname(descriptor_, reinterpret_cast<sockaddr*>(&address.storage), &address.size) != 0) return 0;
  return address.port();
}

bool Socket::is_bound_to(const SocketAddress& address) const {
  int type = 0;
  socklen_t size = sizeof type;
  if (getsockopt(descriptor_, SOL_SOCKET, SO_TYPE, &type, &size) != 0 || type != SOCK_STREAM) return false;
  SocketAddress own;
  own.size = sizeof own.storage;
  if (getsockname(descriptor_, reinterpret_cast<sockaddr*>(&own.storage), &own.size) != 0) return false;
  return own.storage.ss_family == address.storage.ss_family && own.port() == address.port() && own.ip() == address.ip();
}

SocketAddress Socket::local() const {
  SocketAddress address;
  address.size = sizeof address.storage;
  if (getsockname(descriptor_, reinterpret_cast<sockaddr*>(&address.storage), &address.size) != 0) return {};
  return address;
}

SocketAddress Socket::peer() const {
  SocketAddress address;
  address.size = sizeof address.storage;
  if (getpeername(descriptor_, reinterpret_cast<sockaddr*>(&address.storage), &address.size) != 0) return {};
  return address;
}

Result<std::pair<Socket, SocketAddress>, SystemError> Socket::accept_one() {
  SocketAddress peer;
  peer.size = sizeof peer.storage;
  Socket accepted(
      ::accept4(descriptor_, reinterpret_cast<sockaddr*>(&peer.storage), &peer.size, SOCK_NONBLOCK | SOCK_CLOEXEC));
  if (!accepted.is_open()) return SystemError{errno};
  return std::pair(std::move(accepted), peer);
}

Result<Socket, SystemError> Socket::connect_to(const SocketAddress& address) {
  Socket socket(::socket(address.storage.ss_family, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0));
  if (!socket.is_open()) return SystemError{errno};
  const int status = ::connect(socket.descriptor_, reinterpret_cast<const sockaddr*>(&address.storage), address.size);
  if (status != 0 && errno != EINPROGRESS) return SystemError{errno};
  return socket;
}

void Socket::set_link_options() {
  // On a Unix socket these fail, which is as well.
  set_option(descriptor_, IPPROTO_TCP, TCP_NODELAY, 1);
  set_option(descriptor_, SOL_SOCKET, SO_KEEPALIVE, 1);
  set_option(descriptor_, IPPROTO_TCP, TCP_KEEPIDLE, kKeepaliveIdleSeconds);
  set_option(descriptor_, IPPROTO_TCP, TCP_KEEPINTVL, kKeepaliveIntervalSeconds);
  set_option(descriptor_, IPPROTO_TCP, TCP_KEEPCNT, kKeepaliveProbes);
  set_acknowledge_limit(!peer_has_closed_its_window());  // of one that comes from another process it may have
}

void Socket::set_acknowledge_limit(bool limited) {
  const unsigned milliseconds = limited ? kAcknowledgeLimitMilliseconds : 0;
  setsockopt(descriptor_, IPPROTO_TCP, TCP_USER_TIMEOUT, &milliseconds, sizeof milliseconds);
}

bool Socket::peer_has_closed_its_window() const {
  tcp_info info{};
  socklen_t size = sizeof info;
  if (getsockopt(descriptor_, IPPROTO_TCP, TCP_INFO, &info, &size) != 0) return false;
  return info.tcpi_unacked == 0 && info.tcpi_notsent_bytes > 0;
}

IoResult Socket::read(std::span<std::byte> into) {
  const ssize_t count = ::recv(descriptor_, into.data(), into.size(), 0);
  if (count > 0) return {.kind = IoResult::Kind::kBytes, .bytes = static_cast<std::size_t>(count)};
  if (count == 0) return {.kind = IoResult::Kind::kEnd};
  if (errno == EAGAIN || errno == EWOULDBLOCK || errno == EINTR) return {.kind = IoResult::Kind::kWouldBlock};
  return {.kind = IoResult::Kind::kError, .error = errno};
}

IoResult Socket::write(std::span<const std::byte> bytes) {
  const ssize_t count = ::send(descriptor_, bytes.data(), bytes.size(), MSG_NOSIGNAL);
  if (count >= 0) return {.kind = IoResult::Kind::kBytes, .bytes = static_cast<std::size_t>(count)};
  if (errno == EAGAIN || errno == EWOULDBLOCK || errno == EINTR || errno == ENOBUFS) {
    return {.kind = IoResult::Kind::kWouldBlock};
  }
  return {.kind = IoResult::Kind::kError, .error = errno};
}

bool Socket::has_unread_bytes() const {
  std::byte byte{};
  return ::recv(descriptor_, &byte, 1, MSG_PEEK) > 0;
}

int Socket::take_error() {
  int error = 0;
  socklen_t size = sizeof error;
  if (getsockopt(descriptor_, SOL_SOCKET, SO_ERROR, &error, &size) != 0) return errno;
  return error;
}

void Socket::shut_down_writing() {
  ::shutdown(descriptor_, SHUT_WR);
}

// NOLINTEND(readability-make-member-function-const)

void Socket::close() {
  if (descriptor_ >= 0) ::close(std::exchange(descriptor_, -1));
}

void Socket::reset() {
  if (descriptor_ < 0) return;
  const linger at_once{.l_onoff = 1, .l_linger = 0};
  setsockopt(descriptor_, SOL_SOCKET, SO_LINGER, &at_once, sizeof at_once);
  close();
}

Result<Socket, SystemError> duplicate_socket(int descriptor) {
  const int copy = ::fcntl(descriptor, F_DUPFD_CLOEXEC, 0);
  if (copy < 0) return SystemError{errno};
  return Socket::take(copy);
}

PortShare::PortShare(Socket socket) : socket_(std::move(socket)) {
  set_option(socket_.descriptor(), SOL_SOCKET, SO_REUSEPORT, 1);
}

PortShare::~PortShare() {
  if (socket_.is_open()) set_option(socket_.descriptor(), SOL_SOCKET, SO_REUSEPORT, 0);
}

std::string describe_system_error(int code) {
  return std::generic_category().message(code);
}

}  // namespace pgkeel
