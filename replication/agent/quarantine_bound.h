// Which entries of a quarantine go, so that it stays within its bounds: the oldest first. And their removal. The choice
// is pure; the removal blocks.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "config/config.h"
#include "proxy/base/result.h"
#include "proxy/base/time.h"
#include "replication/agent/quarantine_entry.h"

namespace pgkeel {

struct QuarantineFact {
  std::string id;
  WallTime made_at;
  std::uint64_t bytes = 0;
  bool in_use = false;  // by the rejoin under way, or opened by somebody
  bool told = true;     // its report says which transactions it held
};

struct QuarantineRemoval {
  std::string id;
  std::string reason;  // "it is older than 30d"
};

// Of one node, in any order. Those in use stay, and those whose transactions nobody was told of: neither age nor size
// makes these go. Size spares the newest too: it is what the last failover cost.
std::vector<QuarantineRemoval> choose_removals(std::vector<QuarantineFact> facts, const QuarantineConfig& bounds,
                                               WallTime now);

// Removes what is over the bounds of the quarantine of this node; answers one line for each entry that went, or could
// not.
std::vector<std::string> bound_quarantine(const LocalServerConfig& local, const QuarantineConfig& bounds, WallTime now);

}  // namespace pgkeel
