// How far a standby is behind, from what the primary says of its walsenders. Pure.
#pragma once

#include <optional>
#include <string>

#include "health/observation.h"
#include "proxy/admin/cluster_status.h"

namespace pgkeel {

// Nothing where no walsender of the primary streams to a standby of that name.
std::optional<ReplicationLag> replication_lag(const NodeFacts& primary, const std::string& standby);

}  // namespace pgkeel
