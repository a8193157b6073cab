#include "proxy/vip/caller.h"

#include <algorithm>
#include <cstddef>
#include <optional>

#include "proxy/vip/checksum.h"

namespace pgkeel {
namespace {

using Packet = std::span<const std::uint8_t>;

constexpr std::size_t kIpv4Begins = 12;  // in an IPv4 address that is mapped into IPv6
constexpr std::uint8_t kTcp = 6;
constexpr std::uint8_t kIcmpv6 = 58;
constexpr std::uint8_t kNeighbourAdvertisement = 136;
constexpr std::size_t kIpv4HeaderBytesMin = 20;
constexpr std::size_t kIpv6HeaderBytes = 40;
constexpr std::size_t kTcpHeaderBytesMin = 20;
constexpr std::size_t kTcpFlags = 13;
constexpr std::size_t kTcpChecksum = 16;

bool has_bytes(Packet packet, std::size_t at, Packet wanted) {
  return packet.size() >= at + wanted.size() && std::ranges::equal(packet.subspan(at, wanted.size()), wanted);
}

Packet ipv4_of(const IpAddress& address) {
  return Packet(address.bytes).subspan(kIpv4Begins);
}

std::size_t number_at(Packet packet, std::size_t at) {
  return packet[at] * std::size_t{256} + packet[at + 1];
}

// A whole TCP segment in one IP packet.
struct Segment {
  std::size_t begin = 0;
  std::size_t end = 0;
  Packet addresses;  // source and destination, as the checksum has them
};

std::optional<Segment> segment_of(Packet packet) {
  if (packet.empty()) return std::nullopt;
  Segment segment;
  if (packet[0] >> 4U == 4) {
    constexpr std::size_t kMoreFragmentsAndOffset = 0x3FFF;
    segment.begin = (packet[0] & 0x0FU) * std::size_t{4};
    if (segment.begin < kIpv4HeaderBytesMin || packet.size() < segment.begin) return std::nullopt;
    if (packet[9] != kTcp || (number_at(packet, 6) & kMoreFragmentsAndOffset) != 0) return std::nullopt;
    segment.end = number_at(packet, 2);
    segment.addresses = packet.subspan(12, 8);
  } else if (packet[0] >> 4U == 6) {
    if (packet.size() < kIpv6HeaderBytes || packet[6] != kTcp) return std::nullopt;
    segment.begin = kIpv6HeaderBytes;
    segment.end = kIpv6HeaderBytes + number_at(packet, 4);
    segment.addresses = packet.subspan(8, 32);
  } else {
    return std::nullopt;
  }
  if (segment.end > packet.size() || segment.end < segment.begin + kTcpHeaderBytesMin) return std::nullopt;
  return segment;
}

}  // namespace

bool begins_to_connect(Packet packet, const IpAddress& address) {
  constexpr std::uint8_t kSyn = 0x02;
  constexpr std::uint8_t kSynAckRstFin = 0x17;
  const auto segment = segment_of(packet);
  if (!segment) return false;
  const Packet wanted = packet[0] >> 4U == 4 ? ipv4_of(address) : Packet(address.bytes);
  return has_bytes(segment->addresses, segment->addresses.size() / 2, wanted) &&
         (packet[segment->begin + kTcpFlags] & kSynAckRstFin) == kSyn;
}

bool announces(Packet packet, const IpAddress& address, bool is_ipv4) {
  if (is_ipv4) {
    constexpr std::size_t kSender = 14;  // of ARP on Ethernet
    constexpr std::uint8_t kEthernetAndIpv4[] = {0, 1, 0x08, 0x00, 6, 4, 0};
    return has_bytes(packet, 0, kEthernetAndIpv4) && has_bytes(packet, kSender, ipv4_of(address));
  }
  constexpr std::size_t kTarget = kIpv6HeaderBytes + 8;
  return packet.size() >= kTarget && packet[6] == kIcmpv6 && packet[kIpv6HeaderBytes] == kNeighbourAdvertisement &&
         has_bytes(packet, kTarget, address.bytes);
}

void complete_checksum(std::vector<std::uint8_t>& packet) {
  const auto segment = segment_of(packet);
  if (!segment) return;
  const std::size_t at = segment->begin + kTcpChecksum;
  packet[at] = packet[at + 1] = 0;
  const std::size_t length = segment->end - segment->begin;
  const std::uint16_t checksum =
      checksum_of(checksum_part(segment->addresses) + kTcp + static_cast<std::uint32_t>(length) +
                  checksum_part(Packet(packet).subspan(segment->begin, length)));
  packet[at] = static_cast<std::uint8_t>(checksum >> 8U);
  packet[at + 1] = static_cast<std::uint8_t>(checksum);
}

}  // namespace pgkeel
