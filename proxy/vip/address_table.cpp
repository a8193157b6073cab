#include "proxy/vip/address_table.h"

#include <algorithm>
#include <array>
#include <cerrno>
#include <cstring>
#include <libmnl/libmnl.h>
#include <linux/if.h>
#include <linux/if_addr.h>
#include <linux/rtnetlink.h>
#include <optional>
#include <span>
#include <sys/time.h>
#include <utility>

#include "proxy/io/fd_watch.h"

namespace pgkeel {
namespace {

constexpr std::size_t kIpv4Begins = 12;  // in an IPv4 address that is mapped into IPv6
constexpr std::size_t kRequestBytes = 256;
constexpr std::size_t kAnswerBytes = 32768;  // as long as a message of a listing may be
constexpr timeval kAnswerLimit = {.tv_sec = 2, .tv_usec = 0};

std::span<const std::uint8_t> raw_bytes(const InterfaceAddress& address) {
  const std::span<const std::uint8_t> all(address.address.bytes);
  return address.is_ipv4 ? all.subspan(kIpv4Begins) : all;
}

using Attributes = std::array<const nlattr*, IFA_MAX + 1>;

int keep_attribute(const nlattr* attribute, void* into) {
  if (mnl_attr_type_valid(attribute, IFA_MAX) >= 0)
    static_cast<Attributes*>(into)->at(mnl_attr_get_type(attribute)) = attribute;
  return MNL_CB_OK;
}

// Of a message about an address; nothing: of a family that is none of ours, or it says no address.
std::optional<HeldAddress> address_in(const nlmsghdr* message) {
  if (mnl_nlmsg_get_payload_len(message) < sizeof(ifaddrmsg)) return std::nullopt;
  ifaddrmsg header{};
  std::memcpy(&header, mnl_nlmsg_get_payload(message), sizeof header);
  if (header.ifa_family != AF_INET && header.ifa_family != AF_INET6) return std::nullopt;
  Attributes attributes{};
  mnl_attr_parse(message, sizeof(ifaddrmsg), keep_attribute, &attributes);
  // Of a point-to-point link IFA_ADDRESS is the other end.
  const nlattr* own = attributes.at(IFA_LOCAL) != nullptr ? attributes.at(IFA_LOCAL) : attributes.at(IFA_ADDRESS);
  HeldAddress held;
  held.interface = header.ifa_index;
  held.address.is_ipv4 = header.ifa_family == AF_INET;
  held.address.prefix_length = header.ifa_prefixlen;
  if (held.address.is_ipv4) held.address.address = kFirstIpv4Address;
  const auto bytes = raw_bytes(held.address);
  if (own == nullptr || mnl_attr_get_payload_len(own) != bytes.size()) return std::nullopt;
  std::memcpy(held.address.address.bytes.data() + (16 - bytes.size()), mnl_attr_get_payload(own), bytes.size());
  std::uint32_t flags = header.ifa_flags;
  const nlattr* all_flags = attributes.at(IFA_FLAGS);
  if (all_flags != nullptr && mnl_attr_get_payload_len(all_flags) == sizeof flags) flags = mnl_attr_get_u32(all_flags);
  held.has_end = (flags & IFA_F_PERMANENT) == 0;
  return held;
}

int keep_address(const nlmsghdr* message, void* into) {
  if (message->nlmsg_type != RTM_NEWADDR || into == nullptr) return MNL_CB_OK;
  if (auto held = address_in(message)) static_cast<std::vector<HeldAddress>*>(into)->push_back(*held);
  return MNL_CB_OK;
}

using Request = std::array<char, kRequestBytes>;

nlmsghdr* begin_request(Request& buffer, int type, int flags, unsigned interface, const InterfaceAddress& address) {
  nlmsghdr* request = mnl_nlmsg_put_header(buffer.data());
  request->nlmsg_type = static_cast<std::uint16_t>(type);
  request->nlmsg_flags = static_cast<std::uint16_t>(NLM_F_REQUEST | NLM_F_ACK | flags);
  ifaddrmsg header{};
  header.ifa_family = address.is_ipv4 ? AF_INET : AF_INET6;
  header.ifa_prefixlen = address.prefix_length;
  header.ifa_scope = RT_SCOPE_UNIVERSE;
  header.ifa_index = interface;
  std::memcpy(mnl_nlmsg_put_extra_header(request, sizeof header), &header, sizeof header);
  const auto bytes = raw_bytes(address);
  mnl_attr_put(request, IFA_LOCAL, bytes.size(), bytes.data());
  mnl_attr_put(request, IFA_ADDRESS, bytes.size(), bytes.data());
  return request;
}

}  // namespace

void CloseNetlink::operator()(mnl_socket* socket) const {
  mnl_socket_close(socket);
}

Result<AddressTable> AddressTable::open() {
  NetlinkSocket socket(mnl_socket_open2(NETLINK_ROUTE, SOCK_CLOEXEC));
  if (socket == nullptr || mnl_socket_bind(socket.get(), 0, MNL_SOCKET_AUTOPID) != 0)
    return Error{"cannot talk to the kernel about addresses: " + describe_system_error(errno)};
  // The kernel answers at once; nobody shall wait for ever where it does not.
  setsockopt(mnl_socket_get_fd(socket.get()), SOL_SOCKET, SO_RCVTIMEO, &kAnswerLimit, sizeof kAnswerLimit);
  return AddressTable(std::move(socket));
}

Result<void, SystemError> AddressTable::exchange(nlmsghdr* request, std::vector<HeldAddress>* listed) {
  request->nlmsg_seq = ++sequence_;
  if (mnl_socket_sendto(socket_.get(), request, request->nlmsg_len) < 0) return SystemError{errno};
  const unsigned port = mnl_socket_get_portid(socket_.get());
  alignas(nlmsghdr) std::array<char, kAnswerBytes> answer{};
  for (;;) {
    const ssize_t size = mnl_socket_recvfrom(socket_.get(), answer.data(), answer.size());
    if (size < 0 && errno == EINTR) continue;
    if (size < 0) return SystemError{errno};
    // An answer that came too late for its own request is passed over.
    const auto* first = reinterpret_cast<const nlmsghdr*>(answer.data());
    if (static_cast<std::size_t>(size) >= sizeof *first && first->nlmsg_seq != sequence_) continue;
    const int status = mnl_cb_run(answer.data(), static_cast<std::size_t>(size), sequence_, port, keep_address, listed);
    if (status < 0) return SystemError{errno};
    if (status == MNL_CB_STOP) return {};
  }
}

Result<std::vector<HeldAddress>, SystemError> AddressTable::list() {
  alignas(nlmsghdr) Request buffer{};
  nlmsghdr* request = mnl_nlmsg_put_header(buffer.data());
  request->nlmsg_type = RTM_GETADDR;
  request->nlmsg_flags = NLM_F_REQUEST | NLM_F_DUMP;
  mnl_nlmsg_put_extra_header(request, sizeof(ifaddrmsg));
  std::vector<HeldAddress> listed;
  if (const auto done = exchange(request, &listed); !done) return done.error();
  return listed;
}

Result<void, SystemError> AddressTable::set(unsigned interface, const InterfaceAddress& address,
                                            std::uint32_t lifetime_seconds, NetworkRoute route) {
  alignas(nlmsghdr) Request buffer{};
  nlmsghdr* request = begin_request(buffer, RTM_NEWADDR, NLM_F_CREATE | NLM_F_REPLACE, interface, address);
  std::uint32_t flags = route == NetworkRoute::kNone ? IFA_F_NOPREFIXROUTE : 0;
  if (!address.is_ipv4) flags |= IFA_F_NODAD;
  mnl_attr_put_u32(request, IFA_FLAGS, flags);
  ifa_cacheinfo lifetime{};
  lifetime.ifa_prefered = 0;
  lifetime.ifa_valid = lifetime_seconds;
  mnl_attr_put(request, IFA_CACHEINFO, sizeof lifetime, &lifetime);
  return exchange(request, nullptr);
}

Result<void, SystemError> AddressTable::remove(unsigned interface, const InterfaceAddress& address) {
  alignas(nlmsghdr) Request buffer{};
  return exchange(begin_request(buffer, RTM_DELADDR, 0, interface, address), nullptr);
}

struct AddressWatch::Inner {
  Inner(Loop& loop, mnl_socket* opened, std::function<void(const AddressNews&)> on_news)
      : socket(opened),
        tell(std::move(on_news)),
        watch(loop, mnl_socket_get_fd(opened), [this](FdInterest) { read(); }) {
    watch.set_interest({.readable = true});
  }

  void read() {
    alignas(nlmsghdr) std::array<char, kAnswerBytes> bytes{};
    const std::weak_ptr<bool> alive = here;
    while (!alive.expired()) {
      const ssize_t size = mnl_socket_recvfrom(socket.get(), bytes.data(), bytes.size());
      if (size < 0 && errno == ENOBUFS) tell({});
      if (size < 0) return;
      int left = static_cast<int>(size);
      const auto* message = reinterpret_cast<const nlmsghdr*>(bytes.data());
      for (; !alive.expired() && mnl_nlmsg_ok(message, left); message = mnl_nlmsg_next(message, &left)) take(message);
    }
  }

  void take(const nlmsghdr* message) {
    if (message->nlmsg_type == RTM_DELADDR) {
      if (const auto gone = address_in(message)) tell({.kind = AddressNews::Kind::kAddressGone, .gone = *gone});
    } else if (message->nlmsg_type == RTM_NEWLINK && mnl_nlmsg_get_payload_len(message) >= sizeof(ifinfomsg)) {
      ifinfomsg link{};
      std::memcpy(&link, mnl_nlmsg_get_payload(message), sizeof link);
      const bool is_up = (link.ifi_flags & IFF_LOWER_UP) != 0 && (link.ifi_flags & IFF_UP) != 0;
      tell({.kind = is_up ? AddressNews::Kind::kLinkUp : AddressNews::Kind::kLinkDown,
            .gone = {},
            .interface = static_cast<unsigned>(link.ifi_index)});
    }
  }

  NetlinkSocket socket;
  std::function<void(const AddressNews&)> tell;
  std::shared_ptr<bool> here = std::make_shared<bool>(true);
  FdWatch watch;  // goes before the socket
};

AddressWatch::AddressWatch(std::unique_ptr<Inner> inner) : inner_(std::move(inner)) {}
AddressWatch::~AddressWatch() = default;

Result<std::unique_ptr<AddressWatch>> AddressWatch::open(Loop& loop, std::function<void(const AddressNews&)> on_news) {
  mnl_socket* socket = mnl_socket_open2(NETLINK_ROUTE, SOCK_CLOEXEC | SOCK_NONBLOCK);
  constexpr unsigned kGroups = RTMGRP_LINK | RTMGRP_IPV4_IFADDR | RTMGRP_IPV6_IFADDR;
  if (socket == nullptr || mnl_socket_bind(socket, kGroups, MNL_SOCKET_AUTOPID) != 0) {
    const Error error{"cannot watch this host's addresses: " + describe_system_error(errno)};
    if (socket != nullptr) mnl_socket_close(socket);
    return error;
  }
  return std::unique_ptr<AddressWatch>(new AddressWatch(std::make_unique<Inner>(loop, socket, std::move(on_news))));
}

}  // namespace pgkeel
