#include "config/values.h"

#include <algorithm>
#include <array>
#include <charconv>
#include <cstdint>
#include <limits>

#include <fmt/format.h>

#include "config/problem.h"
#include "proxy/base/ip_address.h"

namespace pgkeel {
namespace {

struct Unit {
  std::string_view name;
  Duration length;
};
constexpr std::array kUnits = {
    Unit{.name = "d", .length = std::chrono::hours(24)},        Unit{.name = "h", .length = std::chrono::hours(1)},
    Unit{.name = "m", .length = std::chrono::minutes(1)},       Unit{.name = "s", .length = std::chrono::seconds(1)},
    Unit{.name = "ms", .length = std::chrono::milliseconds(1)},
};

constexpr std::size_t kLongestHostName = 253;
constexpr std::size_t kLongestHostLabel = 63;
constexpr std::size_t kLongestSocketFolder = 107 - std::string_view("/.s.PGSQL.65535").size();
constexpr std::size_t kLongestNodeName = 56;  // "pgkeel_" and it fit into a slot's name of 63
constexpr std::size_t kLongestClusterName = 63;
constexpr std::size_t kLongestMemberName = 63;
constexpr std::size_t kLongestInterfaceName = 15;
constexpr std::string_view kHttp = "http://";
constexpr std::string_view kHttps = "https://";

struct NoInterfaceAddress {
  std::string_view network;
  std::string_view what;
};
constexpr std::array kNoInterfaceAddresses = {
    NoInterfaceAddress{.network = "0.0.0.0/8", .what = "no address of a host"},
    NoInterfaceAddress{.network = "::/128", .what = "no address of a host"},
    NoInterfaceAddress{.network = "127.0.0.0/8", .what = "a loopback address: it does not leave this host"},
    NoInterfaceAddress{.network = "::1/128", .what = "a loopback address: it does not leave this host"},
    NoInterfaceAddress{.network = "224.0.0.0/3", .what = "no address of one host"},
    NoInterfaceAddress{.network = "ff00::/8", .what = "a multicast address"},
    NoInterfaceAddress{.network = "fe80::/10", .what = "a link-local address: clients would need its interface, too"},
};

bool is_lower(char c) {
  return c >= 'a' && c <= 'z';
}
bool is_digit(char c) {
  return c >= '0' && c <= '9';
}
bool is_alphanumeric(char c) {
  return is_lower(c) || is_digit(c) || (c >= 'A' && c <= 'Z');
}

// nullopt: not a whole number that fits.
template <class Number>
std::optional<Number> parse_number(std::string_view text) {
  Number number{};
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), number);
  if (error != std::errc() || end != text.data() + text.size() || text.empty()) return std::nullopt;
  return number;
}

Complaint complain_of_host_name(std::string_view text) {
  const std::string refused = quoted(text) + " is neither a host name nor an IP address";
  if (text.empty() || text.size() > kLongestHostName) return refused;
  std::string_view label;
  for (std::string_view rest = text; !rest.empty(); rest.remove_prefix(std::min(label.size() + 1, rest.size()))) {
    label = rest.substr(0, rest.find('.'));
    if (label.empty() || label.size() > kLongestHostLabel) return refused;
    if (label.front() == '-' || label.back() == '-') return refused;
    if (!std::ranges::all_of(label, [](char c) { return is_alphanumeric(c) || c == '-' || c == '_'; })) return refused;
  }
  // A last label of digits is never a name: it is an IPv4 address with a mistake in it.
  if (std::ranges::all_of(label, is_digit)) return refused;
  return std::nullopt;
}

// `text` begins with the scheme.
Result<HostPort> address_in_url(std::string_view text, std::string_view scheme) {
  std::string_view rest = text.substr(scheme.size());
  if (rest.ends_with('/')) rest.remove_suffix(1);
  auto address = parse_host_port(rest);
  if (address && address->port == 0) return Error{quoted(text) + ": the port is not a number from 1 to 65535"};
  return address;
}

}  // namespace

Result<Duration> parse_duration(std::string_view text) {
  const Error refused{quoted(text) +
                      R"( is not a duration; write a whole number and ms, s, m, h or d: "250ms", "3s", "10m")"};
  const std::size_t digits = std::min(text.find_first_not_of("0123456789"), text.size());
  const auto count = parse_number<std::int64_t>(text.substr(0, digits));
  const auto* unit = std::ranges::find(kUnits, text.substr(digits), &Unit::name);
  if (digits == 0 || unit == kUnits.end()) return refused;
  if (!count || *count > std::numeric_limits<Duration::rep>::max() / unit->length.count()) {
    return Error{quoted(text) + " is too long a time"};
  }
  return *count * unit->length;
}

std::string format_whole_duration(Duration duration) {
  if (duration == Duration::zero()) return "0s";
  for (const Unit& unit : kUnits) {
    if (duration % unit.length == Duration::zero()) return fmt::format("{}{}", duration / unit.length, unit.name);
  }
  return fmt::format("{}ms", to_milliseconds(duration));
}

Result<HostPort> parse_host_port(std::string_view text) {
  const std::size_t colon = text.rfind(':');
  const bool bracketed = text.starts_with('[');
  const std::size_t bracket = text.rfind(']');
  if (colon == std::string_view::npos || (bracketed && (bracket == std::string_view::npos || colon < bracket))) {
    return Error{quoted(text) + R"( has no port; write "HOST:PORT", or "[IPV6]:PORT")"};
  }
  std::string_view host = text.substr(0, colon);
  if (bracketed) {
    if (bracket + 1 != colon) return Error{quoted(text) + R"( has something between the bracket and the port)"};
    host = host.substr(1, bracket - 1);
    if (host.find(':') == std::string_view::npos)
      return Error{quoted(text) + " has brackets around what is no IPv6 address"};
  } else if (host.find(':') != std::string_view::npos) {
    return Error{quoted(text) + R"(: an IPv6 address goes into brackets: "[::1]:5432")"};
  }
  const auto port = parse_number<std::uint16_t>(text.substr(colon + 1));
  if (!port) return Error{quoted(text) + ": the port is not a number from 0 to 65535"};
  if (host.starts_with('/')) return Error{quoted(text) + ": a Unix socket cannot be listened on; write HOST:PORT"};
  if (auto complaint = complain_of_host(host)) return Error{std::move(*complaint)};
  return HostPort{.host = std::string(host), .port = *port};
}

// What stands before an @ may be a password: it is not repeated.
constexpr bool has_credentials(std::string_view url) {
  return url.find('@') != std::string_view::npos;
}

Result<HostPort> parse_https_url(std::string_view text) {
  if (has_credentials(text)) return Error{"a user or a password has no place in the URL of an agent"};
  if (!text.starts_with(kHttps)) return Error{quoted(text) + R"( is no URL of an agent; write "https://HOST:PORT")"};
  return address_in_url(text, kHttps);
}

Result<HostPort> parse_etcd_url(std::string_view text) {
  if (has_credentials(text))
    return Error{"a user or a password has no place in the URL of a member of etcd; write `user` and `password_file`"};
  if (text.starts_with(kHttps)) return address_in_url(text, kHttps);
  if (text.starts_with(kHttp)) return address_in_url(text, kHttp);
  return Error{quoted(text) + R"( is no URL of a member of etcd; write "https://HOST:2379" or "http://HOST:2379")"};
}

Result<InterfaceAddress> parse_interface_address(std::string_view text) {
  const Error refused{quoted(text) + R"( is no address of an interface; write "10.0.0.100/24" or "fd00::100/64")"};
  const std::size_t slash = text.find('/');
  if (slash == std::string_view::npos) return refused;
  const auto address = parse_ip_address(text.substr(0, slash));
  const auto length = parse_number<std::uint8_t>(text.substr(slash + 1));
  if (!address || !length) return refused;
  const bool is_ipv4 = text.find(':') == std::string_view::npos;
  const unsigned bits = is_ipv4 ? 32 : 128;
  if (*length == 0 || *length > bits) {
    return Error{fmt::format("{}: the prefix length is not a number from 1 to {}", quoted(text), bits)};
  }
  for (const auto& [network, what] : kNoInterfaceAddresses) {
    if (parse_ip_network(network)->contains(*address)) return Error{fmt::format("{} is {}", quoted(text), what)};
  }
  // What follows the prefix: all zeros is the network itself, all ones reaches everybody in it.
  bool zeros = true;
  bool ones = true;
  for (unsigned bit = 128 - bits + *length; bit < 128; ++bit) {
    const bool is_one = (address->bytes[bit / 8] & (0x80U >> (bit % 8))) != 0;
    zeros = zeros && !is_one;
    ones = ones && is_one;
  }
  if (*length + 1U < bits && (zeros || (ones && is_ipv4))) {
    return Error{fmt::format("{} is the address of {}, not of a host in it", quoted(text),
                             zeros ? "a network" : "everybody in a network")};
  }
  return InterfaceAddress{.address = *address, .is_ipv4 = is_ipv4, .prefix_length = *length};
}

Complaint complain_of_etcd_url(std::string_view text) {
  const auto address = parse_etcd_url(text);
  return address ? Complaint() : Complaint(address.error().message);
}

Complaint complain_of_interface_address(std::string_view text) {
  const auto address = parse_interface_address(text);
  return address ? Complaint() : Complaint(address.error().message);
}

Complaint complain_of_interface_name(std::string_view text) {
  const bool ok = !text.empty() && text.size() <= kLongestInterfaceName && text != "." && text != ".." &&
                  std::ranges::all_of(text, [](char c) { return c > ' ' && c < 0x7F && c != '/' && c != ':'; });
  if (ok) return std::nullopt;
  return quoted(text) + " cannot be the name of a network interface";
}

Complaint complain_of_key_prefix(std::string_view text) {
  const bool ok = text.ends_with('/') && std::ranges::all_of(text, [](char c) { return c > ' ' && c < 0x7F; });
  if (ok) return std::nullopt;
  return quoted(text) + R"( cannot begin keys of etcd; write "/pgkeel/", with the slash at its end)";
}

Complaint complain_of_member_name(std::string_view text) {
  const bool ok =
      !text.empty() && text.size() <= kLongestMemberName && is_alphanumeric(text.front()) &&
      std::ranges::all_of(text, [](char c) { return is_alphanumeric(c) || c == '_' || c == '-' || c == '.'; });
  if (ok) return std::nullopt;
  return fmt::format(
      "{} cannot be a pgkeel's name: it begins with a letter or digit, goes on with these, ., _ and -, and has at most "
      "{} characters",
      quoted(text), kLongestMemberName);
}

Complaint complain_of_https_url(std::string_view text) {
  const auto address = parse_https_url(text);
  return address ? Complaint() : Complaint(address.error().message);
}

Complaint complain_of_file_name(std::string_view text) {
  if (text.find('/') == std::string_view::npos && text != "." && text != "..") return std::nullopt;
  return quoted(text) + " is not the name of a file in the data directory's top folder";
}

Complaint complain_of_host(std::string_view text) {
  if (text.starts_with('/')) {
    if (text.size() > kLongestSocketFolder) return quoted(text) + " is too long for the folder of a Unix socket";
    return std::nullopt;
  }
  if (text.starts_with('[')) return quoted(text) + ": no brackets here, and the port is a key of its own";
  if (text.find(':') != std::string_view::npos) {
    if (parse_ip_address(text)) return std::nullopt;
    return quoted(text) + " is not an IPv6 address; a port would be a key of its own";
  }
  if (parse_ip_address(text)) return std::nullopt;
  return complain_of_host_name(text);
}

Complaint complain_of_network(std::string_view text) {
  const std::size_t slash = text.find('/');
  const std::string_view address_text = text.substr(0, slash);
  auto address = parse_ip_address(address_text);
  if (!address) return quoted(text) + R"( is not a network; write "10.0.0.0/8" or "fd00::/8")";
  const std::size_t bits = address->bytes.size() * 8;
  const std::size_t longest = address_text.find(':') == std::string_view::npos ? 32 : bits;
  if (slash == std::string_view::npos) {
    return fmt::format(R"({} has no prefix length; for this one address write "{}/{}")", quoted(text), text, longest);
  }
  const auto prefix = parse_number<std::uint8_t>(text.substr(slash + 1));
  if (!prefix || *prefix > longest) {
    return fmt::format("{}: the prefix length is not a number from 0 to {}", quoted(text), longest);
  }
  bool past_prefix = false;
  for (std::size_t bit = bits - longest + *prefix; bit < bits; ++bit) {
    const auto mask = static_cast<std::uint8_t>(0x80U >> (bit % 8));
    std::uint8_t& byte = address->bytes[bit / 8];
    past_prefix = past_prefix || (byte & mask) != 0;
    byte = static_cast<std::uint8_t>(byte & ~mask);
  }
  if (!past_prefix) return std::nullopt;
  return fmt::format(R"({} is an address inside a network; for the network write "{}/{}", for the address "{}/{}")",
                     quoted(text), format_ip_address(*address), *prefix, address_text, longest);
}

Complaint complain_of_node_name(std::string_view text) {
  const bool ok = !text.empty() && text.size() <= kLongestNodeName && is_lower(text.front()) &&
                  std::ranges::all_of(text, [](char c) { return is_lower(c) || is_digit(c) || c == '_'; });
  if (ok) return std::nullopt;
  return fmt::format(
      "{} cannot be a node's name: it begins with a-z, goes on with a-z, 0-9 and _, and has at most {} characters",
      quoted(text), kLongestNodeName);
}

Complaint complain_of_cluster_name(std::string_view text) {
  const bool ok = !text.empty() && text.size() <= kLongestClusterName && is_alphanumeric(text.front()) &&
                  std::ranges::all_of(text, [](char c) { return is_alphanumeric(c) || c == '_' || c == '-'; });
  if (ok) return std::nullopt;
  return fmt::format(
      "{} cannot be a cluster's name: it begins with a letter or digit, goes on with these, _ and -, and has at most "
      "{} "
      "characters",
      quoted(text), kLongestClusterName);
}

Complaint complain_of_user_name(std::string_view text) {
  const bool ok = !text.empty() && text.size() <= 32 && !text.starts_with('-') && std::ranges::all_of(text, [](char c) {
    return is_alphanumeric(c) || c == '_' || c == '-' || c == '.';
  });
  if (ok) return std::nullopt;
  return quoted(text) + " cannot be the name of a user of the operating system";
}

Complaint complain_of_path(std::string_view text) {
  if (text.starts_with('/')) return std::nullopt;
  return quoted(text) + " is not an absolute path";
}

bool is_loopback(std::string_view host) {
  const auto address = parse_ip_address(host);
  if (!address) return host == "localhost";
  return parse_ip_network("127.0.0.0/8")->contains(*address) || address == parse_ip_address("::1");
}

bool is_any_address(std::string_view host) {
  const auto address = parse_ip_address(host);
  return address && (address == parse_ip_address("0.0.0.0") || address == parse_ip_address("::"));
}

}  // namespace pgkeel
