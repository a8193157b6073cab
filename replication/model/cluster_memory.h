// What pgkeel must not forget of a cluster, whatever happens to its process: made durable before the actions that
// follow from it are started (rule 2). Plain data; stored by replication/state.
#pragma once

#include <cstdint>
#include <map>
#include <optional>
#include <set>
#include <string>
#include <vector>

#include "proxy/base/lsn.h"
#include "proxy/base/time.h"
#include "replication/model/operator_order.h"
#include "replication/model/phase.h"
#include "replication/model/slot_memory.h"
#include "replication/model/sync_quorum.h"

namespace pgkeel {

struct NodeMemory {
  // It was the primary of an older epoch and has not been seen as a standby of the newest one since: it may hold WAL
  // that the others lack, and whenever it shows up as a primary it is fenced again.
  bool old_primary = false;
  // An operator ended a collision against it: whatever timeline it writes, it is an old primary.
  bool superseded = false;

  friend bool operator==(const NodeMemory&, const NodeMemory&) = default;
};

// An operator works on it: since when, and who said so.
struct Maintenance {
  WallTime since;
  std::string given_by;

  friend bool operator==(const Maintenance&, const Maintenance&) = default;
};

struct ClusterMemory {
  Phase phase = Phase::kUnadopted;
  std::uint64_t epoch = 0;
  // Steady and draining: the route. Stopping and returning: the node that is shut down and started again. Fencing and
  // promoting: the one that failed, or was shut down.
  std::string primary;
  // Promoting: the node that was, or will be, told to promote. Draining and stopping: the one that will be then.
  std::string candidate;
  // Fencing: a candidate of an earlier epoch that may be primary; nothing is promoted before it is proven stopped.
  std::string abandoned_candidate;
  std::string reason;  // of the last change of phase
  std::string system_identifier;
  Timeline timeline = 0;  // the one that the primary writes, as far as it was seen
  std::vector<WallTime>
      automatic_failovers;  // when their intent was written; oldest first, only those that still count
  std::map<std::string, NodeMemory> nodes;
  // Every commit that the primary of this epoch acknowledged (while fencing and promoting: the one that failed) is
  // flushed on so many of these standbys, the safe ones. Weakened before synchronous_standby_names releases a standby,
  // and strengthened after it has caught up (rule 3). Earned anew by each primary.
  SyncQuorum promise;
  SyncQuorum standby_names;  // what synchronous_standby_names of that primary was ordered to be
  // The weakest that its processes may act by, until each has taken the order over; empty: that is not known.
  SyncQuorum standby_names_in_force;
  // Grows with each order, and where somebody else interfered, so that what was found under an earlier one proves
  // nothing.
  std::uint64_t standby_names_order = 0;
  // Strictly, a primary that was adopted: its route is not opened before commits are known to wait for standbys.
  bool opens_when_commits_wait = false;
  std::optional<Maintenance> maintenance;               // of the whole cluster
  std::map<std::string, Maintenance> nodes_maintained;  // of these nodes
  std::optional<WallTime> switched_back;                // when the newest switchover to the preferred node was begun
  // Of others: no other than these is moved on, made anew or dropped. Written before the slot is made.
  std::set<KeptSlot> kept_slots;
  LogicalSlots logical_slots;
  std::vector<LeftSlot> left_slots;   // oldest first, until they are there again, or for a week
  std::uint64_t orders_given = 0;     // the id of the newest
  std::vector<OperatorOrder> orders;  // oldest first: those that run, and the newest of those that ended

  friend bool operator==(const ClusterMemory&, const ClusterMemory&) = default;
};

}  // namespace pgkeel
