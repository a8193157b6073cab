#include "proxy/vip/announcement.h"

#include <algorithm>
#include <cstddef>
#include <iterator>
#include <span>

#include "proxy/vip/checksum.h"

namespace pgkeel {
namespace {

using Bytes = std::vector<std::uint8_t>;

constexpr std::size_t kIpv4Begins = 12;  // in an IPv4 address that is mapped into IPv6
constexpr std::uint8_t kIcmpv6 = 58;
constexpr std::uint8_t kLinkHops = 255;  // a receiver drops what may have passed a router
constexpr std::uint8_t kNeighbourAdvertisement = 136;
constexpr std::uint8_t kOverride = 0x20;
constexpr std::uint8_t kTargetLinkAddress = 2;
constexpr std::size_t kIpv6HeaderBytes = 40;
constexpr std::size_t kChecksumAt = kIpv6HeaderBytes + 2;
constexpr std::array<std::uint8_t, 16> kAllNodes = {0xFF, 0x02, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 1};

template <class Part>
void append(Bytes& bytes, const Part& part) {
  std::ranges::copy(part, std::back_inserter(bytes));
}

void append(Bytes& bytes, std::initializer_list<std::uint8_t> part) {
  bytes.insert(bytes.end(), part);
}

}  // namespace

std::vector<std::uint8_t> gratuitous_arp(ArpOperation operation, const IpAddress& address, const LinkAddress& link) {
  const std::span<const std::uint8_t> ipv4 = std::span(address.bytes).subspan(kIpv4Begins);
  Bytes packet;
  // Ethernet, IPv4, the lengths of their addresses.
  append(packet, {0, 1, 0x08, 0x00, 6, 4, 0, static_cast<std::uint8_t>(operation)});
  append(packet, link);
  append(packet, ipv4);
  append(packet, operation == ArpOperation::kReply ? link : LinkAddress{});
  append(packet, ipv4);
  return packet;
}

std::vector<std::uint8_t> neighbour_advertisement(const IpAddress& address, const LinkAddress& link) {
  Bytes message = {kNeighbourAdvertisement, 0, 0, 0, kOverride, 0, 0, 0};
  append(message, address.bytes);
  append(message, {kTargetLinkAddress, 1});  // one unit of eight bytes
  append(message, link);

  const auto length = static_cast<std::uint8_t>(message.size());
  Bytes packet = {0x60, 0, 0, 0, 0, length, kIcmpv6, kLinkHops};
  append(packet, address.bytes);
  append(packet, kAllNodes);
  const std::uint16_t checksum =
      checksum_of(checksum_part(address.bytes) + checksum_part(kAllNodes) + length + kIcmpv6 + checksum_part(message));
  append(packet, message);
  packet[kChecksumAt] = static_cast<std::uint8_t>(checksum >> 8U);
  packet[kChecksumAt + 1] = static_cast<std::uint8_t>(checksum);
  return packet;
}

}  // namespace pgkeel
