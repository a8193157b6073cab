// Where a server listens: a host name, a numeric address, or a folder with a Unix socket (begins with '/').
#pragma once

#include <cstdint>
#include <string>

namespace pgkeel {

struct HostPort {
  std::string host;
  std::uint16_t port = 0;

  friend bool operator==(const HostPort&, const HostPort&) = default;
};

// "10.0.0.1:5432", "[::1]:5432", "/run/postgresql:5432"
std::string format_host_port(const HostPort& address);

}  // namespace pgkeel
