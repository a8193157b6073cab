#include "proxy/vip/vip_holder.h"

#include <algorithm>
#include <arpa/inet.h>
#include <cerrno>
#include <cstring>
#include <net/ethernet.h>
#include <net/if.h>
#include <net/if_arp.h>
#include <netpacket/packet.h>
#include <optional>
#include <sys/ioctl.h>
#include <utility>
#include <vector>

#include <fmt/format.h>

#include "proxy/io/clock.h"
#include "proxy/io/descriptor.h"
#include "proxy/io/timer.h"
#include "proxy/vip/address_table.h"
#include "proxy/vip/announcement.h"
#include "proxy/vip/caller_keeper.h"
#include "proxy/vip/vip_tenure.h"

namespace pgkeel {
namespace {

Instant now_since_boot() {
  return Instant{since_boot()};
}

std::string reason_of(int error) {
  if (error == EPERM || error == EACCES) return describe_system_error(error) + " (it takes CAP_NET_ADMIN)";
  return describe_system_error(error);
}

// Whether an address of the interface has the same network, and with it a route there.
bool has_network(const std::vector<HeldAddress>& held, unsigned interface, const InterfaceAddress& address) {
  const unsigned bits = address.prefix_length + (address.is_ipv4 ? 96U : 0U);
  const IpNetwork network{.address = address.address, .prefix_bits = bits};
  return std::ranges::any_of(held, [&](const HeldAddress& each) {
    return each.interface == interface && each.address.is_ipv4 == address.is_ipv4 &&
           each.address.address != address.address && network.contains(each.address.address);
  });
}

}  // namespace

struct VipHolder::Inner {
  Inner(Loop& loop, AddressTable opened, Descriptor raw, const InterfaceAddress& vip, std::string name,
        std::function<void(const VipEvent&)> on_event)
      : table(std::move(opened)),
        announcer(std::move(raw)),
        address(vip),
        interface_name(std::move(name)),
        text(fmt::format("{}/{}", format_ip_address(vip.address), vip.prefix_length)),
        tell(std::move(on_event)),
        callers(loop, vip.address, vip.is_ipv4),
        timer(loop, [this] { go_on(); }) {}

  void event(VipEvent::Kind kind, std::string what) {
    // The same trouble is told once.
    if (kind == VipEvent::Kind::kTrouble && std::exchange(trouble, what) == what) return;
    if (kind == VipEvent::Kind::kTaken || kind == VipEvent::Kind::kReleased) trouble.clear();
    tell({.kind = kind, .text = std::move(what)});
  }

  void go_on() {
    for (;;) {
      // Read anew each time: this process may have been stopped in between.
      const Instant now = now_since_boot();
      const VipWork work = tenure.step(now);
      switch (work.kind) {
        case VipWork::Kind::kNothing:
          if (work.again_at == Instant::max()) return timer.stop();
          return timer.start_once(std::max<Duration>(work.again_at - now, std::chrono::milliseconds(1)));
        case VipWork::Kind::kSet:
          set(now, work);
          break;
        case VipWork::Kind::kFarewell:
          tenure.said_farewell();
          if (const int error = callers.begin(interface); error != 0)
            event(VipEvent::Kind::kTrouble, fmt::format("who connects to {} while it moves is not passed on: {}", text,
                                                        describe_system_error(error)));
          event(VipEvent::Kind::kEnding, fmt::format("{} leaves {} in a moment", text, interface_name));
          break;
        case VipWork::Kind::kStay:
          tenure.said_stay();
          callers.end();
          event(VipEvent::Kind::kStays, fmt::format("{} stays on {}", text, interface_name));
          break;
        case VipWork::Kind::kRemove:
          remove();
          break;
        case VipWork::Kind::kAnnounce:
          announce();
          tenure.was_announced(now);
          break;
      }
    }
  }

  void set(Instant now, const VipWork& work) {
    const unsigned index = find_interface();
    if (index == 0) {
      tenure.was_not_set(now);
      return event(VipEvent::Kind::kTrouble,
                   fmt::format("could not take {}: there is no interface {}", text, interface_name));
    }
    if (work.taken_anew) {
      const auto held = table.list();
      route = held && has_network(*held, index, address) ? NetworkRoute::kNone : NetworkRoute::kMade;
    }
    if (const auto done = table.set(index, address, work.lifetime_seconds, route); !done) {
      tenure.was_not_set(now);
      return event(VipEvent::Kind::kTrouble,
                   fmt::format("could not take {} on {}: {}", text, interface_name, reason_of(done.error().code)));
    }
    interface = index;
    tenure.was_set(now, work.lifetime_seconds);
    if (!work.taken_anew) return;
    callers.end();
    event(VipEvent::Kind::kTaken, fmt::format("{} is on {} now", text, interface_name));
  }

  // 0: there is none of this name now.
  unsigned find_interface() {
    ifreq request{};
    interface_name.copy(request.ifr_name, sizeof request.ifr_name - 1);
    return ioctl(announcer.number(), SIOCGIFINDEX, &request) == 0 ? static_cast<unsigned>(request.ifr_ifindex) : 0;
  }

  void remove() {
    const Instant now = now_since_boot();
    const auto done = table.remove(interface, address);
    // Without its interface it is gone too.
    const bool is_gone = done || done.error().code == EADDRNOTAVAIL || done.error().code == ENODEV;
    if (!is_gone) {
      tenure.was_not_set(now);
      return event(VipEvent::Kind::kTrouble,
                   fmt::format("could not remove {} from {}: {}", text, interface_name, reason_of(done.error().code)));
    }
    tenure.was_removed();
    event(VipEvent::Kind::kReleased, fmt::format("{} is no longer on {}", text, interface_name));
  }

  void announce() {
    ifreq request{};
    interface_name.copy(request.ifr_name, sizeof request.ifr_name - 1);
    if (ioctl(announcer.number(), SIOCGIFHWADDR, &request) != 0)
      return event(VipEvent::Kind::kTrouble,
                   fmt::format("could not announce {}: {}", text, describe_system_error(errno)));
    if (request.ifr_hwaddr.sa_family != ARPHRD_ETHER) return;  // nobody there keeps a link address
    LinkAddress link{};
    std::memcpy(link.data(), request.ifr_hwaddr.sa_data, link.size());
    if (address.is_ipv4) {
      send(ETH_P_ARP, kEverybody, gratuitous_arp(ArpOperation::kRequest, address.address, link));
      send(ETH_P_ARP, kEverybody, gratuitous_arp(ArpOperation::kReply, address.address, link));
    } else {
      send(ETH_P_IPV6, kAllIpv6Nodes, neighbour_advertisement(address.address, link));
    }
  }

  void send(std::uint16_t protocol, const LinkAddress& to, const std::vector<std::uint8_t>& packet) {
    sockaddr_ll target{};
    target.sll_family = AF_PACKET;
    target.sll_protocol = htons(protocol);
    target.sll_ifindex = static_cast<int>(interface);
    target.sll_halen = static_cast<unsigned char>(to.size());
    std::ranges::copy(to, target.sll_addr);
    const ssize_t sent = sendto(announcer.number(), packet.data(), packet.size(), 0,
                                reinterpret_cast<const sockaddr*>(&target), sizeof target);
    // A link that is down tells when it is up again, and then it is announced anew.
    if (sent < 0 && errno != ENETDOWN && errno != ENOBUFS)
      event(VipEvent::Kind::kTrouble, fmt::format("could not announce {}: {}", text, describe_system_error(errno)));
  }

  void hear(const AddressNews& news) {
    switch (news.kind) {
      case AddressNews::Kind::kAddressGone:
        if (!tenure.is_held() || news.gone.interface != interface || news.gone.address != address) return;
        break;
      case AddressNews::Kind::kSomeLost:
        if (!tenure.is_held()) return;
        break;
      case AddressNews::Kind::kLinkDown:
        if (news.interface == interface) link_is_up = false;
        return;
      case AddressNews::Kind::kLinkUp:
        if (news.interface != interface || std::exchange(link_is_up, true)) return;
        tenure.link_came_back(now_since_boot());
        return go_on();
    }
    // It may have been taken anew since.
    const auto held = table.list();
    const auto is_ours = [this](const HeldAddress& each) {
      return each.interface == interface && each.address == address;
    };
    if (!held || std::ranges::any_of(*held, is_ours)) return;
    tenure.vanished();
    event(VipEvent::Kind::kVanished,
          fmt::format("{} was removed from {} by somebody else, or its time was over", text, interface_name));
    go_on();
  }

  AddressTable table;
  Descriptor announcer;
  const InterfaceAddress address;
  const std::string interface_name;
  const std::string text;
  std::function<void(const VipEvent&)> tell;
  CallerKeeper callers;
  Timer timer;
  std::unique_ptr<AddressWatch> watch;
  VipTenure tenure;
  unsigned interface = 0;
  NetworkRoute route = NetworkRoute::kNone;
  bool link_is_up = true;
  bool is_anothers = false;  // another process goes on with it: destroyed, this one leaves it alone
  std::string trouble;
};

VipHolder::VipHolder(std::unique_ptr<Inner> inner) : inner_(std::move(inner)) {}

VipHolder::~VipHolder() {
  if (inner_->tenure.is_held() && !inner_->is_anothers) inner_->remove();
}

Result<std::unique_ptr<VipHolder>> VipHolder::open(Loop& loop, const InterfaceAddress& address,
                                                   const std::string& interface, VipLeftover leftover,
                                                   std::function<void(const VipEvent&)> on_event) {
  const std::string shown = format_ip_address(address.address);
  const unsigned index = if_nametoindex(interface.c_str());
  if (index == 0) return Error{"vip: there is no interface " + interface};
  Descriptor announcer(socket(AF_PACKET, SOCK_DGRAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0));
  if (!announcer.is_open())
    return Error{"vip: cannot announce " + shown + ": " + describe_system_error(errno) + " (it takes CAP_NET_RAW)"};
  auto table = AddressTable::open();
  if (!table) return table.error();
  const HeldAddress* left = nullptr;
  const auto held = table->list();
  if (!held) return Error{"vip: cannot list this host's addresses: " + describe_system_error(held.error().code)};
  for (const HeldAddress& each : *held) {
    if (each.address.address != address.address) continue;
    // What we set always has an end.
    if (!each.has_end)
      return Error{fmt::format("vip: {} is configured on this host already, for good; leave it to pgkeel", shown)};
    if (leftover == VipLeftover::kKeep) left = &each;
    if (leftover == VipLeftover::kRemove) {
      if (const auto done = table->remove(each.interface, each.address); !done && done.error().code != EADDRNOTAVAIL)
        return Error{fmt::format("vip: cannot remove {}: {}", shown, reason_of(done.error().code))};
    }
  }
  // Whether we may: to remove what is not there changes nothing.
  if (leftover == VipLeftover::kRemove) {
    const auto done = table->remove(index, address);
    if (!done && done.error().code != EADDRNOTAVAIL)
      return Error{fmt::format("vip: cannot change the addresses of {}: {}", interface, reason_of(done.error().code))};
  }
  auto inner =
      std::make_unique<Inner>(loop, std::move(*table), std::move(announcer), address, interface, std::move(on_event));
  if (left != nullptr) {
    inner->interface = left->interface;
    inner->route = has_network(*held, left->interface, address) ? NetworkRoute::kNone : NetworkRoute::kMade;
    inner->tenure.was_left_by_another();
    inner->is_anothers = true;
  }
  auto watch = AddressWatch::open(loop, [inner = inner.get()](const AddressNews& news) { inner->hear(news); });
  if (!watch) return watch.error();
  inner->watch = std::move(*watch);
  return std::unique_ptr<VipHolder>(new VipHolder(std::move(inner)));
}

void VipHolder::hold(Instant until) {
  inner_->tenure.hold(until);
  inner_->go_on();
}

void VipHolder::release() {
  inner_->tenure.release();
  inner_->go_on();
}

void VipHolder::leave(Instant by, Instant until) {
  inner_->tenure.leave(by, until);
  inner_->go_on();
}

void VipHolder::take_over() {
  inner_->is_anothers = false;
}

void VipHolder::leave_to_successor() {
  inner_->is_anothers = true;
  inner_->callers.end();
  inner_->timer.stop();
}

bool VipHolder::keeps_callers() const {
  return inner_->callers.is_waiting();
}

const IpAddress& VipHolder::address() const {
  return inner_->address.address;
}

Instant VipHolder::goes_at() const {
  return inner_->tenure.goes_at();
}

bool VipHolder::is_held() const {
  return inner_->tenure.is_held();
}

}  // namespace pgkeel
