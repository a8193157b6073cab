// A route as pgkeels tell it each other: in etcd, and directly. Pure.
#pragma once

#include <optional>

#include <nlohmann/json_fwd.hpp>

#include "replication/coordination/agreed_state.h"

namespace pgkeel {

nlohmann::json json_of(const SharedRoute& route);

// Nothing where it cannot be read whole.
std::optional<SharedRoute> shared_route_in(const nlohmann::json& json);

}  // namespace pgkeel
