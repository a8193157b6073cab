#include "tests/support/tcp_relay.h"

#include <array>
#include <netinet/in.h>
#include <poll.h>
#include <stdexcept>
#include <sys/socket.h>
#include <unistd.h>
#include <utility>
#include <vector>

namespace pgkeel::test {
namespace {

constexpr int kPollMilliseconds = 5;

sockaddr_in loopback(std::uint16_t port) {
  sockaddr_in address{};
  address.sin_family = AF_INET;
  address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
  address.sin_port = htons(port);
  return address;
}

int new_socket() {
  const int descriptor = ::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
  if (descriptor < 0) throw std::runtime_error("no socket");
  return descriptor;
}

// False: one side has ended.
bool carry(int from, int to) {
  std::array<char, 65536> bytes{};
  const ssize_t size = ::recv(from, bytes.data(), bytes.size(), 0);
  if (size <= 0) return false;
  for (ssize_t sent = 0; sent < size;) {
    const ssize_t more = ::send(to, bytes.data() + sent, static_cast<std::size_t>(size - sent), MSG_NOSIGNAL);
    if (more <= 0) return false;
    sent += more;
  }
  return true;
}

}  // namespace

TcpRelay::TcpRelay(std::uint16_t server_port) : server_port_(server_port), listening_(new_socket()) {
  sockaddr_in address = loopback(0);
  socklen_t size = sizeof address;
  if (::bind(listening_, reinterpret_cast<sockaddr*>(&address), size) != 0 || ::listen(listening_, 64) != 0 ||
      ::getsockname(listening_, reinterpret_cast<sockaddr*>(&address), &size) != 0) {
    ::close(listening_);
    throw std::runtime_error("the relay cannot listen");
  }
  port_ = ntohs(address.sin_port);
  thread_ = std::thread([this] { run(); });
}

TcpRelay::~TcpRelay() {
  is_over_ = true;
  thread_.join();
  ::close(listening_);
}

void TcpRelay::run() {
  std::vector<std::pair<int, int>> links;  // client, server
  while (!is_over_) {
    std::vector<pollfd> watched;
    if (!is_cut_) {
      watched.push_back({listening_, static_cast<short>(is_for_nobody_new_ ? 0 : POLLIN), 0});
      for (const auto& [client, server] : links) {
        watched.push_back({client, POLLIN, 0});
        watched.push_back({server, POLLIN, 0});
      }
    }
    if (::poll(watched.data(), watched.size(), kPollMilliseconds) <= 0 || is_cut_) continue;
    std::vector<std::pair<int, int>> left;
    for (std::size_t i = 0; i < links.size(); ++i) {
      const auto [client, server] = links[i];
      const bool lives = (watched[1 + 2 * i].revents == 0 || carry(client, server)) &&
                         (watched[2 + 2 * i].revents == 0 || carry(server, client));
      if (lives) {
        left.emplace_back(client, server);
        continue;
      }
      ::close(client);
      ::close(server);
    }
    links = std::move(left);
    if (watched[0].revents == 0) continue;
    const int client = ::accept4(listening_, nullptr, nullptr, SOCK_CLOEXEC);
    if (client < 0) continue;
    const int server = new_socket();
    const sockaddr_in address = loopback(server_port_);
    if (::connect(server, reinterpret_cast<const sockaddr*>(&address), sizeof address) == 0) {
      links.emplace_back(client, server);
    } else {
      ::close(client);
      ::close(server);
    }
  }
  for (const auto& [client, server] : links) {
    ::close(client);
    ::close(server);
  }
}

}  // namespace pgkeel::test
