// The order in which synchronous_standby_names, and what is promised of it, may change. Pure.
//
// The promise says: every commit that the primary acknowledged is flushed on at least `acks` of `members`. From it
// follows who may be elected: positions of members - acks + 1 members are read, and the highest holds every
// acknowledged commit. So any set of standbys that can acknowledge a commit must overlap any set from which a primary
// can be chosen, at each moment and whatever is interrupted. The promise is weakened before standbys are released, and
// strengthened after they have caught up.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "replication/model/sync_quorum.h"

namespace pgkeel {

// Every commit that is acknowledged under these names keeps the promise.
bool keeps_promise(const SyncQuorum& standby_names, const SyncQuorum& promise);

// Where `promise` holds, `weaker` holds too.
bool implies(const SyncQuorum& promise, const SyncQuorum& weaker);

// What is aimed at with these standbys: together with the primary a majority of the nodes holds every commit. None: no
// waiting.
SyncQuorum quorum_of(std::vector<std::string> standbys);

// What is left of the promise without this member.
SyncQuorum promise_without(const SyncQuorum& promise, const std::string& member);

// What names still say while so many impostors bear a name among them: each acknowledges once.
SyncQuorum discounted(const SyncQuorum& names, std::uint32_t impostors);

// What two readings of synchronous_standby_names allow together. After a reload some processes of the primary act by
// the one and some by the other: a walsender needs as many acknowledgements as its own reading says, and counts every
// walsender that takes itself for synchronous by *its* reading.
SyncQuorum mixture(const SyncQuorum& left, const SyncQuorum& right);

// Whose positions must be known before a primary is elected: this many of the promise's members.
std::uint32_t positions_needed(const SyncQuorum& promise);

struct SyncState {
  SyncQuorum promise;
  SyncQuorum standby_names;     // ordered last
  SyncQuorum in_force;          // what it and earlier ones allow together, as long as some process may act by those
  std::uint32_t impostors = 0;  // how many other walsenders bear names of these
  // What was ordered is alone in force, and each of its members has flushed all that was acknowledged before that.
  bool settled = false;

  friend bool operator==(const SyncState&, const SyncState&) = default;
};

// The state after the next step towards the goal; the same state where there is nothing to do but to wait. Each step is
// a change of memory that must be durable before synchronous_standby_names is changed for it, and may be the last one.
SyncState next_step(const SyncState& state, const SyncQuorum& goal);

// The state after all steps up to the one that has to wait.
SyncState after_all_steps(SyncState state, const SyncQuorum& goal);

}  // namespace pgkeel
