// What still arrives for the virtual IP at a host that it is leaving: who begins to connect (a TCP SYN), and that its
// next holder announces itself. Packets are as they stand behind the link's header; they come from outside, and may be
// anything. Pure; any thread.
#pragma once

#include <cstdint>
#include <span>
#include <vector>

#include "proxy/base/ip_address.h"

namespace pgkeel {

// An IPv4 or IPv6 packet, by its first byte, with the first segment of a connection to this address.
bool begins_to_connect(std::span<const std::uint8_t> packet, const IpAddress& address);

// ARP that says where this address is (IPv4), or a neighbour advertisement (IPv6).
bool announces(std::span<const std::uint8_t> packet, const IpAddress& address, bool is_ipv4);

// What begins_to_connect(): its TCP checksum may have been left to a network card, and is made here.
void complete_checksum(std::vector<std::uint8_t>& packet);

}  // namespace pgkeel
