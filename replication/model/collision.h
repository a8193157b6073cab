// Nodes that took writes apart from each other (design, section 1). Plain data.
#pragma once

#include <optional>
#include <string>
#include <vector>

#include "proxy/base/lsn.h"

namespace pgkeel {

struct Collision {
  struct Side {
    std::string node;
    Timeline timeline = 0;
    Lsn wal_position;  // as it was last told
  };
  std::vector<Side> sides;           // the primary of the newest epoch first, where there is one
  std::optional<TimelineFork> fork;  // the last position that all sides share, where it is known
};

}  // namespace pgkeel
