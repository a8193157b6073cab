#include "proxy/base/address.h"

namespace pgkeel {

std::string format_host_port(const HostPort& address) {
  const bool numeric_ipv6 = address.host.find(':') != std::string::npos;
  return (numeric_ipv6 ? "[" + address.host + "]" : address.host) + ":" + std::to_string(address.port);
}

}  // namespace pgkeel
