// What tells a network at which link address an IP address is from now on: gratuitous ARP for IPv4, an unsolicited
// neighbour advertisement for IPv6, as they go behind the link's own header. Pure; any thread.
#pragma once

#include <array>
#include <cstdint>
#include <vector>

#include "proxy/base/ip_address.h"

namespace pgkeel {

using LinkAddress = std::array<std::uint8_t, 6>;

enum class ArpOperation : std::uint8_t { kRequest = 1, kReply = 2 };

// Some take a request to heart, some a reply only: send both. `address`: IPv4.
std::vector<std::uint8_t> gratuitous_arp(ArpOperation operation, const IpAddress& address, const LinkAddress& link);

// The IPv6 packet, to all nodes of the link; it overrides what they know.
std::vector<std::uint8_t> neighbour_advertisement(const IpAddress& address, const LinkAddress& link);

// To whom the link delivers them.
inline constexpr LinkAddress kEverybody = {0xFF, 0xFF, 0xFF, 0xFF, 0xFF, 0xFF};
inline constexpr LinkAddress kAllIpv6Nodes = {0x33, 0x33, 0, 0, 0, 1};

}  // namespace pgkeel
