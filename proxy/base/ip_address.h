// A numeric IP address, and networks of them. Pure. IPv4 is kept as IPv4-mapped IPv6 (::ffff:a.b.c.d), as a dual-stack
// listener reports it.
#pragma once

#include <array>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

namespace pgkeel {

struct IpAddress {
  std::array<std::uint8_t, 16> bytes{};

  friend bool operator==(const IpAddress&, const IpAddress&) = default;
};

// The first address of IPv4; those of it begin with the same 12 bytes (RFC 4291, 2.5.5.2).
inline constexpr IpAddress kFirstIpv4Address{{0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0xFF, 0xFF}};
bool is_ipv4(const IpAddress& address);

std::optional<IpAddress> parse_ip_address(std::string_view text);  // "10.0.0.1", "fe80::1"
std::string format_ip_address(const IpAddress& address);

// What counts as one sender: an IPv4 address, or the /64 network of an IPv6 one, from which a single host may have as
// many addresses as it likes.
IpAddress network_of_sender(const IpAddress& address);

struct IpNetwork {
  IpAddress address;
  unsigned prefix_bits = 0;  // of the 128

  [[nodiscard]] bool contains(const IpAddress& other) const;
};

// "10.0.0.0/8", "::/0"; without a slash the one address. "0.0.0.0/0" is all of IPv4 and none of IPv6.
std::optional<IpNetwork> parse_ip_network(std::string_view text);

}  // namespace pgkeel
