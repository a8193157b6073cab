#include "config/validate_coordination.h"

#include <algorithm>

#include <fmt/format.h>

#include "config/problem.h"
#include "config/values.h"

namespace pgkeel {
namespace {

using Complain = std::function<void(const std::string& path, const std::string& what)>;

// A leader renews the end of its address as often as its lease; Linux counts such an end in whole seconds, and may be
// one late.
constexpr Duration kShortestLeaseOfVip = 4s;

void check_etcd(const CoordinationConfig& coordination, const Complain& complain) {
  const std::vector<std::string>& urls = coordination.etcd;
  for (auto url = urls.begin(); url != urls.end(); ++url) {
    if (std::find(urls.begin(), url, *url) != url) {
      complain("coordination.etcd", fmt::format("{} is there twice", quoted(*url)));
      break;
    }
  }
  const TlsFiles& tls = coordination.tls;
  const bool has_https = std::ranges::any_of(urls, [](const auto& url) { return url.starts_with("https://"); });
  if (tls != TlsFiles{} && !has_https) complain("coordination.tls", "no URL in `etcd` begins with https://");
  if (tls.cert.empty() && !tls.key.empty()) complain("coordination.tls.cert", "is missing: there is a key");
  if (!tls.cert.empty() && tls.key.empty()) complain("coordination.tls.key", "is missing: there is a certificate");
  if (coordination.user.empty() && !coordination.password_file.empty())
    complain("coordination.user", "is missing: there is a password_file");
  if (!coordination.user.empty() && coordination.password_file.empty())
    complain("coordination.password_file", "is missing: there is a user");
  if (coordination.lease % 1s != Duration::zero()) {
    complain("coordination.lease",
             fmt::format("{} is no whole number of seconds", quoted(format_whole_duration(coordination.lease))));
  }
}

void check_peer(const PeerConfig& peer, const Complain& complain) {
  const HostPort& address = peer.address;
  if (address.host.empty()) return;
  const std::string shown = quoted(format_host_port(address));
  if (is_any_address(address.host)) complain("coordination.peer.address", shown + " is not where one could be reached");
  if (address.port == 0) complain("coordination.peer.address", shown + ": the others need to know the port");
}

// Whether a client of this address arrives at `listen`. A name may stand for it.
bool may_lead_to(const IpAddress& address, const std::string& listen) {
  const auto numeric = parse_ip_address(listen);
  return !numeric || is_any_address(listen) || *numeric == address;
}

void check_vip(const Config& config, const Complain& complain) {
  const VipConfig& vip = config.coordination.vip;
  if (vip.address.empty()) return;
  const auto address = parse_interface_address(vip.address);
  if (!address) return;
  if (config.coordination.lease < kShortestLeaseOfVip) {
    complain("coordination.lease",
             fmt::format("{} is too short for `vip`, whose end Linux counts in whole seconds: that needs {}",
                         format_whole_duration(config.coordination.lease), format_whole_duration(kShortestLeaseOfVip)));
  }
  bool is_served = config.clusters.empty();
  for (const ClusterConfig& cluster : config.clusters) {
    is_served = is_served || cluster.listen.host.empty() || may_lead_to(address->address, cluster.listen.host);
    for (std::size_t i = 0; i < cluster.nodes.size(); ++i) {
      if (parse_ip_address(cluster.nodes[i].address.host) != address->address) continue;
      complain(fmt::format("cluster.{}.node[{}].host", cluster.name, i),
               "is the address that the leader holds (`vip`)");
    }
  }
  if (!is_served) complain("coordination.vip.address", "no cluster listens there");
  if (parse_ip_address(config.coordination.peer.address.host) == address->address)
    complain("coordination.peer.address", "is the address that the leader holds (`vip`), not this pgkeel's own");
}

}  // namespace

void validate_coordination(const Config& config, const Complain& complain) {
  if (!config.coordination.is_given()) return;
  check_etcd(config.coordination, complain);
  check_peer(config.coordination.peer, complain);
  check_vip(config, complain);
}

}  // namespace pgkeel
