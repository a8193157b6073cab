#include "proxy/base/ip_address.h"

#include <algorithm>
#include <arpa/inet.h>
#include <charconv>

namespace pgkeel {
namespace {

constexpr unsigned kMappedPrefixBits = 96;
constexpr std::size_t kMappedPrefixBytes = kMappedPrefixBits / 8;
constexpr std::size_t kHostNetworkBytes = 8;  // a /64 (RFC 4291, 2.5.4)

}  // namespace

bool is_ipv4(const IpAddress& address) {
  return IpNetwork{kFirstIpv4Address, kMappedPrefixBits}.contains(address);
}

std::optional<IpAddress> parse_ip_address(std::string_view text) {
  if (text.find('\0') != std::string_view::npos) return std::nullopt;
  const std::string terminated(text);
  IpAddress address;
  if (inet_pton(AF_INET6, terminated.c_str(), address.bytes.data()) == 1) return address;
  address = kFirstIpv4Address;
  if (inet_pton(AF_INET, terminated.c_str(), address.bytes.data() + kMappedPrefixBytes) == 1) return address;
  return std::nullopt;
}

std::string format_ip_address(const IpAddress& address) {
  std::array<char, INET6_ADDRSTRLEN> text{};
  if (is_ipv4(address)) {
    inet_ntop(AF_INET, address.bytes.data() + kMappedPrefixBytes, text.data(), text.size());
  } else {
    inet_ntop(AF_INET6, address.bytes.data(), text.data(), text.size());
  }
  return text.data();
}

IpAddress network_of_sender(const IpAddress& address) {
  IpAddress network = address;
  if (!is_ipv4(address)) std::fill(network.bytes.begin() + kHostNetworkBytes, network.bytes.end(), std::uint8_t{0});
  return network;
}

bool IpNetwork::contains(const IpAddress& other) const {
  const unsigned whole_bytes = prefix_bits / 8;
  if (!std::equal(address.bytes.begin(), address.bytes.begin() + whole_bytes, other.bytes.begin())) return false;
  const unsigned rest_bits = prefix_bits % 8;
  if (rest_bits == 0) return true;
  const auto mask = static_cast<std::uint8_t>(0xFFU << (8 - rest_bits));
  return (address.bytes[whole_bytes] & mask) == (other.bytes[whole_bytes] & mask);
}

std::optional<IpNetwork> parse_ip_network(std::string_view text) {
  const auto slash = text.find('/');
  const std::string_view address_text = text.substr(0, slash);
  const auto address = parse_ip_address(address_text);
  if (!address) return std::nullopt;
  const bool written_as_ipv4 = address_text.find(':') == std::string_view::npos;
  const unsigned bits_most = written_as_ipv4 ? 32 : 128;
  unsigned bits = bits_most;
  if (slash != std::string_view::npos) {
    const std::string_view bits_text = text.substr(slash + 1);
    const auto [end, error] = std::from_chars(bits_text.data(), bits_text.data() + bits_text.size(), bits);
    if (error != std::errc() || end != bits_text.data() + bits_text.size() || bits > bits_most) return std::nullopt;
  }
  // A client that came over IPv4 is not "any IPv6 address", although it is written as one here.
  return IpNetwork{*address, written_as_ipv4 ? kMappedPrefixBits + bits : bits};
}

}  // namespace pgkeel
