#include "replication/coordination/shared_route_json.h"

#include <doctest/doctest.h>
#include <nlohmann/json.hpp>

using namespace pgkeel;

TEST_CASE("a route comes back as it was, whatever its mode") {
  for (const RouteMode mode :
       {RouteMode::kNormal, RouteMode::kDraining, RouteMode::kMoving, RouteMode::kStopped, RouteMode::kTornDown}) {
    const SharedRoute route{.serial = 3, .epoch = 2, .node = "a", .mode = mode, .reason = "why \"not\""};
    CHECK(shared_route_in(json_of(route)) == route);
  }
}

TEST_CASE("a route that cannot be read whole is none") {
  const nlohmann::json whole = json_of(SharedRoute{.serial = 3, .epoch = 2, .node = "a", .mode = {}, .reason = ""});
  for (const char* key : {"serial", "epoch", "node", "mode"}) {
    auto damaged = whole;
    damaged.erase(key);
    CHECK_FALSE(shared_route_in(damaged).has_value());
    damaged[key] = -1;
    CHECK_FALSE(shared_route_in(damaged).has_value());
  }
  CHECK_FALSE(shared_route_in("serial").has_value());
}
