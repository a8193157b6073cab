// The texts that stand for durations, addresses, networks and names in a configuration, as values. Pure; any thread.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

#include "proxy/base/address.h"
#include "proxy/base/ip_address.h"
#include "proxy/base/result.h"
#include "proxy/base/time.h"

namespace pgkeel {

// "250ms", "3s", "10m", "2h", "30d"; whole numbers only.
Result<Duration> parse_duration(std::string_view text);

// The same way back: with the largest unit that leaves a whole number. At least milliseconds.
std::string format_whole_duration(Duration duration);

// "10.0.0.1:5432", "[::1]:5432", "db.example:0". Port 0 asks the system for a free one.
Result<HostPort> parse_host_port(std::string_view text);

// "https://db1.example:7433", "https://[::1]:7433": nothing behind the port, and no other scheme.
Result<HostPort> parse_https_url(std::string_view text);

// "http://10.0.0.11:2379", and the same with https.
Result<HostPort> parse_etcd_url(std::string_view text);

// "10.0.0.100/24", "fd00::100/64": an address of an interface, with the prefix length of its network.
struct InterfaceAddress {
  IpAddress address;
  bool is_ipv4 = false;
  std::uint8_t prefix_length = 0;  // of the 32 or 128 bits of its family

  friend bool operator==(const InterfaceAddress&, const InterfaceAddress&) = default;
};
Result<InterfaceAddress> parse_interface_address(std::string_view text);

// What is wrong with the text; nothing where it is right.
using Complaint = std::optional<std::string>;

Complaint complain_of_host(std::string_view text);       // host name, IPv4, IPv6 without brackets, folder of a socket
Complaint complain_of_network(std::string_view text);    // "10.0.0.0/8", "::/0", and a single address as "10.0.0.1/32"
Complaint complain_of_node_name(std::string_view text);  // [a-z][a-z0-9_]{0,55}
Complaint complain_of_cluster_name(std::string_view text);  // letters, digits, '_' and '-'; at most 63
Complaint complain_of_user_name(std::string_view text);     // of the operating system
Complaint complain_of_path(std::string_view text);          // absolute
Complaint complain_of_https_url(std::string_view text);     // as parse_https_url() has it
Complaint complain_of_etcd_url(std::string_view text);      // as parse_etcd_url() has it
Complaint complain_of_key_prefix(std::string_view text);    // of keys in etcd
Complaint complain_of_member_name(std::string_view text);   // letters, digits, '.', '_' and '-'; at most 63
Complaint complain_of_interface_address(std::string_view text);
Complaint complain_of_interface_name(std::string_view text);  // as Linux has it
Complaint complain_of_file_name(std::string_view text);       // of a file in one folder: no path

bool is_loopback(std::string_view host);     // 127.0.0.0/8, ::1, localhost
bool is_any_address(std::string_view host);  // 0.0.0.0, ::

}  // namespace pgkeel
