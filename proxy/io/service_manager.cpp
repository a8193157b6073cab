#include "proxy/io/service_manager.h"

#include <algorithm>
#include <array>
#include <charconv>
#include <cstddef>
#include <cstdlib>
#include <cstring>
#include <fcntl.h>
#include <string_view>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

namespace pgkeel {
namespace {

constexpr int kFirstPassedDescriptor = 3;
constexpr int kPassedMax = 4096;

std::string variable(const char* name) {
  const char* value = std::getenv(name);
  return value == nullptr ? "" : value;
}

int whole_number(std::string_view text) {
  int number = -1;
  const auto [end, code] = std::from_chars(text.data(), text.data() + text.size(), number);
  return code == std::errc{} && end == text.data() + text.size() ? number : -1;
}

}  // namespace

ServiceManager::ServiceManager() : socket_path_(variable("NOTIFY_SOCKET")) {
  const bool usable = socket_path_.size() > 1 && (socket_path_[0] == '/' || socket_path_[0] == '@');
  if (!usable) socket_path_.clear();
}

bool ServiceManager::tell(const std::string& state) const {
  return send(state, -1);
}

bool ServiceManager::keep_socket(const std::string& name, int descriptor) const {
  return send("FDSTORE=1\nFDNAME=" + name, descriptor);
}

void ServiceManager::forget_socket(const std::string& name) const {
  send("FDSTOREREMOVE=1\nFDNAME=" + name, -1);
}

bool ServiceManager::send(const std::string& state, int descriptor) const {
  sockaddr_un address{};
  if (socket_path_.empty() || socket_path_.size() >= sizeof address.sun_path) return false;
  address.sun_family = AF_UNIX;
  std::memcpy(address.sun_path, socket_path_.data(), socket_path_.size());
  if (address.sun_path[0] == '@') address.sun_path[0] = '\0';
  const Descriptor socket(::socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0));
  if (!socket.is_open()) return false;
  iovec text{const_cast<char*>(state.data()), state.size()};
  union {
    cmsghdr header;
    std::array<char, CMSG_SPACE(sizeof(int))> bytes;
  } control{};
  msghdr header{};
  header.msg_name = &address;
  header.msg_namelen = static_cast<socklen_t>(offsetof(sockaddr_un, sun_path) + socket_path_.size());
  header.msg_iov = &text;
  header.msg_iovlen = 1;
  if (descriptor >= 0) {
    header.msg_control = &control;
    header.msg_controllen = sizeof control;
    cmsghdr* rights = CMSG_FIRSTHDR(&header);
    rights->cmsg_level = SOL_SOCKET;
    rights->cmsg_type = SCM_RIGHTS;
    rights->cmsg_len = CMSG_LEN(sizeof descriptor);
    std::memcpy(CMSG_DATA(rights), &descriptor, sizeof descriptor);
  }
  return ::sendmsg(socket.number(), &header, MSG_NOSIGNAL | MSG_DONTWAIT) >= 0;
}

std::vector<NamedSocket> sockets_from_service_manager() {
  const bool for_us = whole_number(variable("LISTEN_PID")) == static_cast<int>(::getpid());
  const int count = for_us ? whole_number(variable("LISTEN_FDS")) : 0;
  const std::string names = variable("LISTEN_FDNAMES");
  for (const char* name : {"LISTEN_PID", "LISTEN_FDS", "LISTEN_FDNAMES"}) ::unsetenv(name);
  std::vector<NamedSocket> sockets;
  std::string_view rest = names;
  for (int index = 0; index < count && index < kPassedMax; ++index) {
    const std::string_view name = rest.substr(0, rest.find(':'));
    rest.remove_prefix(std::min(rest.size(), name.size() + 1));
    const int number = kFirstPassedDescriptor + index;
    ::fcntl(number, F_SETFD, FD_CLOEXEC);
    sockets.push_back({std::string(name), Socket::take(number)});
  }
  return sockets;
}

}  // namespace pgkeel
