#include "proxy/routing/allow_list.h"

#include <algorithm>

namespace pgkeel {

Result<AllowList> AllowList::parse(const std::vector<std::string>& networks) {
  AllowList list;
  for (const auto& text : networks) {
    const auto network = parse_ip_network(text);
    if (!network) return Error{"\"" + text + "\" is not a network such as \"10.0.0.0/8\" or \"::/0\""};
    list.networks_.push_back(*network);
  }
  return list;
}

bool AllowList::allows(const IpAddress& client) const {
  return std::any_of(networks_.begin(), networks_.end(),
                     [&](const IpNetwork& network) { return network.contains(client); });
}

}  // namespace pgkeel
