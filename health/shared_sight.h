// What several pgkeels together know of a node: this one's suspicion counts where no other one hears from the node, and
// else it is this one's path that is cut. Pure: no I/O, reads no clock.
#pragma once

#include <string>
#include <vector>

#include "health/failure_detector.h"
#include "proxy/base/time.h"

namespace pgkeel {

// What another pgkeel said last.
struct OtherSight {
  std::string pgkeel;
  Instant heard_at;  // the node answered it then, or later
};

struct SharedSight {
  Suspicion suspicion;   // to be acted on
  std::string heard_by;  // the pgkeel that hears from the node although it failed for this one; empty: none does
};

// A node that failed for this pgkeel and is heard by another is not failed: nothing is known of it from here.
SharedSight shared_sight(const Suspicion& own, const std::vector<OtherSight>& others, Duration failure_timeout,
                         Instant now);

}  // namespace pgkeel
