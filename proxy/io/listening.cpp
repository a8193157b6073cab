#include "proxy/io/listening.h"

#include <algorithm>
#include <array>
#include <cerrno>
#include <charconv>
#include <cstdint>
#include <cstring>
#include <linux/inet_diag.h>
#include <linux/netlink.h>
#include <linux/sock_diag.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <optional>
#include <span>
#include <string>
#include <sys/socket.h>
#include <vector>

#include "proxy/base/ip_address.h"
#include "proxy/io/descriptor.h"
#include "proxy/io/durable_file.h"

namespace pgkeel {
namespace {

constexpr std::string_view kListenState = "0A";

std::vector<IpAddress> numbers_of(const std::string& host) {
  if (const auto address = parse_ip_address(host)) return {*address};
  if (host == "localhost") return {*parse_ip_address("127.0.0.1"), *parse_ip_address("::1")};
  return {};
}

bool is_any(const IpAddress& address) {
  return address == IpAddress{} || address == *parse_ip_address("0.0.0.0");
}

bool means(const IpAddress& listener, const std::vector<IpAddress>& wanted) {
  return is_any(listener) || std::ranges::find(wanted, listener) != wanted.end();
}

template <class Number>
std::optional<Number> hexadecimal(std::string_view text) {
  Number number{};
  const auto [end, code] = std::from_chars(text.data(), text.data() + text.size(), number, 16);
  if (code != std::errc{} || end != text.data() + text.size()) return std::nullopt;
  return number;
}

// The kernel prints each word of the address as a number of this machine's byte order.
std::optional<IpAddress> address_of(std::string_view text) {
  IpAddress address = text.size() == 8 ? *parse_ip_address("0.0.0.0") : IpAddress{};
  if (text.size() != 8 && text.size() != 32) return std::nullopt;
  std::size_t position = text.size() == 8 ? 12 : 0;
  for (; !text.empty(); text.remove_prefix(8), position += 4) {
    const auto word = hexadecimal<std::uint32_t>(text.substr(0, 8));
    if (!word) return std::nullopt;
    std::memcpy(address.bytes.data() + position, &*word, sizeof *word);
  }
  return address;
}

std::string_view next_word(std::string_view& line) {
  line.remove_prefix(std::min(line.find_first_not_of(' '), line.size()));
  const auto word = line.substr(0, line.find(' '));
  line.remove_prefix(word.size());
  return word;
}

class NetlinkSocket {
 public:
  NetlinkSocket() : socket_(::socket(AF_NETLINK, SOCK_RAW | SOCK_CLOEXEC, NETLINK_SOCK_DIAG)) {}

  [[nodiscard]] bool ask_for_listeners(std::uint8_t family) const {
    struct {
      nlmsghdr header;
      inet_diag_req_v2 request;
    } message{};
    message.header.nlmsg_len = sizeof message;
    message.header.nlmsg_type = SOCK_DIAG_BY_FAMILY;
    message.header.nlmsg_flags = NLM_F_REQUEST | NLM_F_DUMP;
    message.request.sdiag_family = family;
    message.request.sdiag_protocol = IPPROTO_TCP;
    message.request.idiag_states = 1U << TCP_LISTEN;
    return socket_.is_open() && send(socket_.number(), &message, sizeof message, 0) == sizeof message;
  }

  // The next part of the answer; empty: there is none.
  std::span<const std::byte> receive() {
    ssize_t count = 0;
    do {
      count = recv(socket_.number(), buffer_.data(), buffer_.size(), MSG_TRUNC);
    } while (count < 0 && errno == EINTR);
    if (count < 0 || static_cast<std::size_t>(count) > buffer_.size()) return {};
    return std::span(buffer_).first(static_cast<std::size_t>(count));
  }

 private:
  Descriptor socket_;
  alignas(nlmsghdr) std::array<std::byte, 32768> buffer_;
};

IpAddress address_of(const inet_diag_msg& listener) {
  IpAddress address = listener.idiag_family == AF_INET ? *parse_ip_address("0.0.0.0") : IpAddress{};
  const std::size_t at = listener.idiag_family == AF_INET ? 12 : 0;
  std::memcpy(address.bytes.data() + at, listener.id.idiag_src, address.bytes.size() - at);
  return address;
}

// Nothing: the kernel does not tell.
std::optional<bool> kernel_knows_listener(std::uint8_t family, std::uint16_t port,
                                          const std::vector<IpAddress>& wanted) {
  NetlinkSocket kernel;
  if (!kernel.ask_for_listeners(family)) return std::nullopt;
  bool found = false;
  for (auto part = kernel.receive(); !part.empty(); part = kernel.receive()) {
    while (part.size() >= sizeof(nlmsghdr)) {
      nlmsghdr header{};
      std::memcpy(&header, part.data(), sizeof header);
      if (header.nlmsg_len < sizeof header || header.nlmsg_len > part.size()) return std::nullopt;
      if (header.nlmsg_type == NLMSG_DONE) return found;
      if (header.nlmsg_type != SOCK_DIAG_BY_FAMILY || header.nlmsg_len < sizeof header + sizeof(inet_diag_msg))
        return std::nullopt;
      inet_diag_msg listener{};
      std::memcpy(&listener, part.data() + sizeof header, sizeof listener);
      found = found || (ntohs(listener.id.idiag_sport) == port && means(address_of(listener), wanted));
      part = part.subspan(std::min<std::size_t>(NLMSG_ALIGN(header.nlmsg_len), part.size()));
    }
  }
  return std::nullopt;
}

}  // namespace

bool listens_in_table(std::string_view table, const HostPort& address) {
  const auto wanted = numbers_of(address.host);
  while (!table.empty()) {
    auto line = table.substr(0, table.find('\n'));
    table.remove_prefix(std::min(table.size(), line.size() + 1));
    next_word(line);
    const auto local = next_word(line);
    next_word(line);
    const auto colon = local.find(':');
    if (next_word(line) != kListenState || colon == std::string_view::npos) continue;
    if (hexadecimal<std::uint16_t>(local.substr(colon + 1)) != address.port) continue;
    const auto listener = address_of(local.substr(0, colon));
    if (listener && means(*listener, wanted)) return true;
  }
  return false;
}

bool somebody_listens_at(const HostPort& address) {
  struct Source {
    std::uint8_t family;
    const char* table;
  };
  const auto wanted = numbers_of(address.host);
  for (const auto& source : {Source{AF_INET, "/proc/net/tcp"}, Source{AF_INET6, "/proc/net/tcp6"}}) {
    if (const auto known = kernel_knows_listener(source.family, address.port, wanted)) {
      if (*known) return true;
      continue;
    }
    const auto table = read_file(source.table);
    if (table && listens_in_table(*table, address)) return true;
  }
  return false;
}

}  // namespace pgkeel
