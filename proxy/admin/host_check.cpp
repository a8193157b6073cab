#include "proxy/admin/host_check.h"

#include <algorithm>
#include <cctype>

#include "proxy/base/ip_address.h"

namespace pgkeel {
namespace {

// Without the port, and the brackets of an IPv6 address.
std::string_view name_in(std::string_view host) {
  if (host.starts_with('[')) return host.substr(1, host.find(']') == std::string_view::npos ? 0 : host.find(']') - 1);
  std::string_view name = host.substr(0, host.rfind(':'));
  if (name.ends_with('.')) name.remove_suffix(1);
  return name;
}

bool equal_in_any_case(std::string_view one, std::string_view other) {
  return std::ranges::equal(one, other, [](char a, char b) {
    return std::tolower(static_cast<unsigned char>(a)) == std::tolower(static_cast<unsigned char>(b));
  });
}

}  // namespace

bool is_right_host(std::string_view host, const std::vector<std::string>& names) {
  if (host.empty()) return true;
  const std::string_view name = name_in(host);
  if (name.empty()) return false;
  if (name.find('.') == std::string_view::npos && name.find(':') == std::string_view::npos) return true;
  if (parse_ip_address(name)) return true;
  return std::ranges::any_of(names, [&](const std::string& right) { return equal_in_any_case(name, right); });
}

bool is_for_machines(std::string_view path) {
  const auto leads_to = [&](std::string_view route) {
    return path.starts_with(route) && (path.size() == route.size() || path[route.size()] == '/');
  };
  return std::ranges::any_of(
      std::initializer_list<std::string_view>{"/metrics", "/healthz", "/readyz", "/primary", "/replica", "/leader"},
      leads_to);
}

}  // namespace pgkeel
