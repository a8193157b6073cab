#include "replication/coordination/shared_route_json.h"

#include <algorithm>
#include <array>
#include <string_view>
#include <utility>

#include <nlohmann/json.hpp>

#include "proxy/base/lenient_json.h"

namespace pgkeel {
namespace {

constexpr std::array<std::pair<RouteMode, std::string_view>, 5> kModes = {{{RouteMode::kNormal, "normal"},
                                                                           {RouteMode::kDraining, "draining"},
                                                                           {RouteMode::kMoving, "moving"},
                                                                           {RouteMode::kStopped, "stopped"},
                                                                           {RouteMode::kTornDown, "torn down"}}};

std::string_view mode_name(RouteMode mode) {
  const auto* found = std::ranges::find(kModes, mode, &std::pair<RouteMode, std::string_view>::first);
  return found == kModes.end() ? "" : found->second;
}

}  // namespace

nlohmann::json json_of(const SharedRoute& route) {
  return {{"serial", route.serial},
          {"epoch", route.epoch},
          {"node", route.node},
          {"mode", mode_name(route.mode)},
          {"reason", route.reason}};
}

std::optional<SharedRoute> shared_route_in(const nlohmann::json& json) {
  using lenient_json::text_of;
  const auto serial = lenient_json::unsigned_of(json, "serial");
  const auto epoch = lenient_json::unsigned_of(json, "epoch");
  const std::string mode = text_of(json, "mode");
  const auto* known = std::ranges::find(kModes, mode, &std::pair<RouteMode, std::string_view>::second);
  if (!serial || !epoch || known == kModes.end() || !lenient_json::member(json, "node").is_string())
    return std::nullopt;
  return SharedRoute{*serial, *epoch, text_of(json, "node"), known->first, text_of(json, "reason")};
}

}  // namespace pgkeel
