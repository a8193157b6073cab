// The decision core: from what is seen, remembered and configured, to what is remembered and done next.
//
// Pure and level-triggered: it does no I/O, reads no clock, writes no log, and looks at the state as a whole, so that a
// restart in the middle needs no special case. At most one transition is taken at a time; the driver asks again.
#pragma once

#include "replication/model/cluster_view.h"
#include "replication/model/decision.h"
#include "replication/model/failover_policy.h"

namespace pgkeel {

Decision decide(const ClusterView& view, const ClusterMemory& memory, const FailoverPolicy& policy, Now now);

}  // namespace pgkeel
