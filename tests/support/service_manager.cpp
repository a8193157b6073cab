#include "tests/support/service_manager.h"

#include <algorithm>
#include <array>
#include <cstdlib>
#include <cstring>
#include <stdexcept>
#include <sys/socket.h>
#include <sys/un.h>

namespace pgkeel::test {

ServiceManagerOfTest::ServiceManagerOfTest(const std::string& socket_path)
    : socket_(::socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0)) {
  sockaddr_un address{};
  address.sun_family = AF_UNIX;
  if (socket_path.size() >= sizeof address.sun_path) throw std::runtime_error(socket_path + " is too long");
  std::memcpy(address.sun_path, socket_path.c_str(), socket_path.size() + 1);
  if (::bind(socket_.number(), reinterpret_cast<const sockaddr*>(&address), sizeof address) != 0)
    throw std::runtime_error("bind " + socket_path + ": " + std::strerror(errno));
  ::setenv("NOTIFY_SOCKET", socket_path.c_str(), 1);
}

ServiceManagerOfTest::~ServiceManagerOfTest() {
  ::unsetenv("NOTIFY_SOCKET");
}

std::vector<std::uint16_t> ServiceManagerOfTest::kept(const std::string& name) {
  std::vector<std::uint16_t> ports;
  for (const auto& each : sockets()) {
    if (each.name == name) ports.push_back(each.socket.bound_port());
  }
  return ports;
}

const std::vector<NamedSocket>& ServiceManagerOfTest::sockets() {
  while (hear()) {
  }
  return store_;
}

bool ServiceManagerOfTest::was_told(const std::string& beginning_of_line) {
  while (hear()) {
  }
  return told_.find("\n" + beginning_of_line) != std::string::npos;
}

bool ServiceManagerOfTest::hear() {
  std::array<char, 4096> text{};
  union {
    cmsghdr header;
    std::array<char, CMSG_SPACE(sizeof(int))> bytes;
  } control{};
  iovec part{text.data(), text.size()};
  msghdr header{};
  header.msg_iov = &part;
  header.msg_iovlen = 1;
  header.msg_control = &control;
  header.msg_controllen = sizeof control;
  const ssize_t size = ::recvmsg(socket_.number(), &header, MSG_CMSG_CLOEXEC);
  if (size < 0) return false;
  const std::string said(text.data(), static_cast<std::size_t>(size));
  told_ += "\n" + said;
  const std::string name_line = "\nFDNAME=";
  const auto at = said.find(name_line);
  const std::string name = at == std::string::npos ? std::string() : said.substr(at + name_line.size());
  if (said.starts_with("FDSTOREREMOVE=1")) std::erase_if(store_, [&](const auto& each) { return each.name == name; });
  const cmsghdr* rights = CMSG_FIRSTHDR(&header);
  if (said.starts_with("FDSTORE=1") && rights != nullptr) {
    int descriptor = -1;
    std::memcpy(&descriptor, CMSG_DATA(rights), sizeof descriptor);
    NamedSocket young{name, Socket::take(descriptor)};
    // systemd keeps one of two descriptors of the same socket, too.
    const bool is_known = std::ranges::any_of(store_, [&](const auto& each) {
      return each.name == name && each.socket.bound_port() == young.socket.bound_port();
    });
    if (!is_known) store_.push_back(std::move(young));
  }
  return true;
}

}  // namespace pgkeel::test
