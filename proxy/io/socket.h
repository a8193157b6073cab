// A stream socket (TCP, or Unix where a host begins with '/') that never blocks. One thread at a time; it may be handed
// to another. What goes wrong comes as an errno value, because callers decide by it what it is evidence of.
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>
#include <string>
#include <sys/socket.h>
#include <utility>
#include <vector>

#include "proxy/base/address.h"
#include "proxy/base/ip_address.h"
#include "proxy/base/result.h"
#include "proxy/base/time.h"

namespace pgkeel {

// A resolved address.
struct SocketAddress {
  sockaddr_storage storage{};
  socklen_t size = 0;

  [[nodiscard]] bool is_unix() const { return storage.ss_family == AF_UNIX; }
  [[nodiscard]] IpAddress ip() const;  // of a Unix socket: ::
  [[nodiscard]] std::uint16_t port() const;
  [[nodiscard]] SocketAddress with_port(std::uint16_t port) const;
};

// An address that needs no resolver: numeric, or a folder with a Unix socket. Empty: it is a name (or too long a path).
std::vector<SocketAddress> numeric_socket_addresses(const HostPort& address);

struct IoResult {
  enum class Kind {
    kBytes,       // `bytes` were read or written
    kWouldBlock,  // nothing now
    kEnd,         // read only: the peer has sent all it will send
    kError,       // `error` says why
  };
  Kind kind = Kind::kError;
  std::size_t bytes = 0;
  int error = 0;
};

struct SystemError {
  int code = 0;  // errno
};

class Socket {
 public:
  Socket() = default;
  ~Socket() { close(); }
  Socket(Socket&& other) noexcept : descriptor_(std::exchange(other.descriptor_, -1)) {}
  Socket& operator=(Socket&& other) noexcept {
    close();
    descriptor_ = std::exchange(other.descriptor_, -1);
    return *this;
  }
  Socket(const Socket&) = delete;
  Socket& operator=(const Socket&) = delete;

  // Bound, not yet listening. The port of `address` may be 0: bound_port() tells which it became.
  enum class FamilyShare { kBoth, kOwnFamilyOnly };  // whether an IPv6 socket takes IPv4 clients too
  // Whether it must be an address of this host now, or may become one later.
  enum class HostAddress { kNow, kSomeTime };
  // Whether the port may be that of another socket of ours, see PortShare.
  enum class PortUse { kAlone, kShared };
  static Result<Socket, SystemError> bind_to(const SocketAddress& address, FamilyShare share,
                                             HostAddress presence = HostAddress::kNow, PortUse use = PortUse::kAlone);
  Result<void, SystemError> start_listening();
  // New connections are refused, but the port stays ours; start_listening() begins anew.
  void stop_listening();
  // While it listens: who connects gets no answer, and so tries again later; those that have connected can still be
  // accepted. start_listening() ends it.
  void turn_deaf();
  // The same for those who begin to connect; those who have begun still get through.
  void hear_no_newcomers();
  // The same as that for those who begin to connect to this address, of several at which it listens.
  void turn_deaf_to(const IpAddress& address);
  void hear_everybody();
  // Somebody has connected, and can be accepted. Blocks; false: nobody within `limit`.
  [[nodiscard]] bool wait_for_connection(Duration limit) const;
  [[nodiscard]] std::uint16_t bound_port() const;

  // A stream socket with this very address, whether it listens now or not.
  [[nodiscard]] bool is_bound_to(const SocketAddress& address) const;
  [[nodiscard]] SocketAddress peer() const;   // of a connection
  [[nodiscard]] SocketAddress local() const;  // where the peer reached us
  // Of a descriptor that is somebody's, and ours from now on.
  static Socket take(int descriptor) { return Socket(descriptor); }
  [[nodiscard]] int release() { return std::exchange(descriptor_, -1); }

  // A connection that waits, and its peer; kWouldBlock as an error code (EAGAIN) where there is none.
  Result<std::pair<Socket, SocketAddress>, SystemError> accept_one();

  // Begins to connect; wait for writable, then ask take_error().
  static Result<Socket, SystemError> connect_to(const SocketAddress& address);

  // No delay, keepalive; a peer that acknowledges nothing for a minute is gone.
  void set_link_options();
  // Whether unacknowledged bytes end the link, see StallWatch in proxy/session.
  void set_acknowledge_limit(bool limited);
  // Nothing is in flight although bytes wait: the peer is there, but does not read.
  [[nodiscard]] bool peer_has_closed_its_window() const;

  IoResult read(std::span<std::byte> into);
  IoResult write(std::span<const std::byte> bytes);
  [[nodiscard]] bool has_unread_bytes() const;
  int take_error();  // SO_ERROR: why the connection failed or broke, 0 if it did not
  void shut_down_writing();
  void close();
  void reset();  // closed at once; what the kernel has not sent yet is dropped

  [[nodiscard]] bool is_open() const { return descriptor_ >= 0; }
  [[nodiscard]] int descriptor() const { return descriptor_; }

 private:
  explicit Socket(int descriptor) : descriptor_(descriptor) {}

  int descriptor_ = -1;
};

// The same socket once more: it is closed when both are.
Result<Socket, SystemError> duplicate_socket(int descriptor);

// While it lives, another socket of this user that is bound with PortUse::kShared may have the port of this one, at an
// address that overlaps (0.0.0.0 and 127.0.0.1), and listen there beside it. One that is bound without is refused, as
// ever. (Linux may remember for as long as the port is in use that it was shared.)
class PortShare {
 public:
  explicit PortShare(Socket socket);
  ~PortShare();
  PortShare(PortShare&&) = default;
  PortShare& operator=(PortShare&&) = delete;
  PortShare(const PortShare&) = delete;
  PortShare& operator=(const PortShare&) = delete;

 private:
  Socket socket_;
};

// One of those that a process gets from another.
struct NamedSocket {
  std::string name;
  Socket socket;
};

std::string describe_system_error(int code);

}  // namespace pgkeel
