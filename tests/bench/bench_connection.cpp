#include "tests/bench/bench_connection.h"

#include <algorithm>
#include <arpa/inet.h>
#include <array>
#include <memory>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <stdexcept>
#include <sys/socket.h>
#include <unistd.h>
#include <utility>

#include <openssl/ssl.h>

#include "tests/support/wire_messages.h"

namespace pgkeel::test {
namespace {

using namespace wire_test;

constexpr std::size_t kReadBytes = 65536;
constexpr std::string_view kAlpn = "\12postgresql";

SSL_CTX* context() {
  static const std::unique_ptr<SSL_CTX, decltype(&SSL_CTX_free)> made(SSL_CTX_new(TLS_client_method()), SSL_CTX_free);
  return made.get();
}

std::string startup() {
  return untyped(int16_bytes(3) + int16_bytes(0) + zero_terminated("user") + zero_terminated("postgres") +
                 zero_terminated("database") + zero_terminated("postgres") + '\0');
}

}  // namespace

BenchConnection::BenchConnection(std::uint16_t port, TlsWay tls)
    : descriptor_(::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0)) {
  sockaddr_in address{};
  address.sin_family = AF_INET;
  address.sin_port = htons(port);
  address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
  if (::connect(descriptor_, reinterpret_cast<const sockaddr*>(&address), sizeof address) != 0) {
    ::close(descriptor_);
    throw std::runtime_error("cannot connect to port " + std::to_string(port));
  }
  const int on = 1;
  setsockopt(descriptor_, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);
  try {
    if (tls != TlsWay::kNone) begin_tls(tls);
    write(startup());
    read_to_ready();
  } catch (...) {
    SSL_free(tls_);
    ::close(descriptor_);
    throw;
  }
}

BenchConnection::BenchConnection(BenchConnection&& other) noexcept
    : descriptor_(std::exchange(other.descriptor_, -1)), tls_(std::exchange(other.tls_, nullptr)) {}

BenchConnection::~BenchConnection() {
  SSL_free(tls_);
  if (descriptor_ >= 0) ::close(descriptor_);
}

void BenchConnection::begin_tls(TlsWay way) {
  if (way == TlsWay::kAsks) {
    write(ssl_request());
    char answer = 0;
    if (read(&answer, 1) != 1 || answer != 'S') throw std::runtime_error("no TLS");
  }
  tls_ = SSL_new(context());
  SSL_set_alpn_protos(tls_, reinterpret_cast<const unsigned char*>(kAlpn.data()), kAlpn.size());
  SSL_set_fd(tls_, descriptor_);
  if (SSL_connect(tls_) != 1) throw std::runtime_error("the TLS handshake failed");
}

void BenchConnection::write(std::string_view bytes) {
  while (!bytes.empty()) {
    const ssize_t count = tls_ != nullptr ? SSL_write(tls_, bytes.data(), static_cast<int>(bytes.size()))
                                          : ::send(descriptor_, bytes.data(), bytes.size(), MSG_NOSIGNAL);
    if (count <= 0) throw std::runtime_error("the connection broke");
    bytes.remove_prefix(static_cast<std::size_t>(count));
  }
}

std::size_t BenchConnection::read(char* into, std::size_t size) {
  const ssize_t count =
      tls_ != nullptr ? SSL_read(tls_, into, static_cast<int>(size)) : ::recv(descriptor_, into, size, 0);
  if (count <= 0) throw std::runtime_error("the connection ended");
  return static_cast<std::size_t>(count);
}

std::uint64_t BenchConnection::query(std::string_view sql) {
  write(wire_test::query(sql));
  return read_to_ready();
}

std::uint64_t BenchConnection::read_to_ready() {
  std::array<char, kReadBytes> buffer;  // not filled: that would be work
  std::array<unsigned char, 5> header{};
  std::size_t header_bytes = 0;
  std::uint64_t total = 0;
  std::size_t body_left = 0;
  bool ready = false;
  for (;;) {
    const std::size_t count = read(buffer.data(), buffer.size());
    total += count;
    for (std::size_t at = 0; at < count;) {
      if (body_left > 0) {
        const std::size_t skipped = std::min(body_left, count - at);
        body_left -= skipped;
        at += skipped;
      } else {
        header[header_bytes++] = static_cast<unsigned char>(buffer[at++]);
        if (header_bytes < header.size()) continue;
        header_bytes = 0;
        const std::size_t length = std::size_t{header[1]} << 24 | std::size_t{header[2]} << 16 |
                                   std::size_t{header[3]} << 8 | std::size_t{header[4]};
        body_left = length - 4;
        ready = header[0] == 'Z';
        if (header[0] == 'E') {
          std::string fields(&buffer[at], count - at);
          std::ranges::replace(fields, '\0', ' ');
          throw std::runtime_error("the server said: " + fields);
        }
      }
      if (ready && body_left == 0) return total;
    }
  }
}

}  // namespace pgkeel::test
