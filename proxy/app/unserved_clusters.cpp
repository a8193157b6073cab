#include "proxy/app/unserved_clusters.h"

#include <utility>

#include "proxy/vip/vip_decision.h"

namespace pgkeel {

UnservedClusters::UnservedClusters(Coordination& coordination, std::function<void(std::function<void()>)> when_followed)
    : coordination_(coordination), when_followed_(std::move(when_followed)) {}

void UnservedClusters::review(const std::set<std::string>& served) {
  for (const auto& cluster : std::exchange(served_, served)) {
    if (served.contains(cluster) || !closing_.insert(cluster).second) continue;
    when_followed_([this, cluster, alive = std::weak_ptr<bool>(alive_)] {
      if (alive.expired()) return;
      closing_.erase(cluster);
      review(std::set<std::string>(served_));
    });
  }
  // An acknowledgement may lead back here.
  const std::map<std::string, SharedRoute> routes = coordination_.membership().state().routes;
  for (const auto& [cluster, route] : routes) {
    if (cluster == kVipRoute || served_.contains(cluster) || closing_.contains(cluster)) continue;
    std::uint64_t& acknowledged = acknowledged_[cluster];
    if (acknowledged >= route.serial) continue;
    acknowledged = route.serial;
    coordination_.route_applied(cluster, route.serial);
    if (route.mode == RouteMode::kDraining) coordination_.route_drained(cluster, route.serial);
  }
}

}  // namespace pgkeel
