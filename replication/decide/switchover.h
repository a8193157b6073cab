// A planned change of roles (`pgkeel switchover`): may it begin, may it go on, and how does its order end? Up to the
// promotion every trouble leads back to how it was; after it, forward. Pure.
//
//   steady -> draining -> stopping -> promoting -> steady
//     ^__________|           |_> returning -> steady      and from stopping and returning to fencing: it is a failover
#pragma once

#include <optional>

#include "replication/decide/situation.h"
#include "replication/model/decision.h"

namespace pgkeel {

OrderAnswer judge_switchover(const Situation& situation, const OperatorOrder& order);

// The switchover of which the present phase is a step; nullptr: it is none.
const OperatorOrder* switchover_under_way(const ClusterMemory& memory);

// Steady: the standby with which the ordered switchover may begin now; nullptr: none is ordered, or not yet.
const NodeView* switchover_to_begin(const Situation& situation);

// Draining and stopping: why it must be given up; empty: nothing that is known speaks against it.
std::string why_given_up(const Situation& situation);

// Draining: no transaction is open, or drain_timeout is over, and all is as it must be for the primary to be stopped.
bool drain_is_over(const Situation& situation, Instant& again_at);

// Stopping: what became of the shutdown.
struct Shutdown {
  bool clean = false;   // proven stopped after a shutdown checkpoint
  bool failed = false;  // it crashed instead, or does not stop
  // Nothing of it runs, but where its WAL ends is not known, so that nobody can be shown to have all of it. That is no
  // failure: started again it has every commit, which a failover under `async` would not have.
  bool unexamined = false;
  std::string why_failed;  // … or could not be examined: one clause
  Lsn end_of_wal;          // where clean: behind the record of the shutdown checkpoint
  Instant since{};         // where clean: since then nothing of it runs
};
Shutdown shutdown_of(const Situation& situation, Instant& again_at);

// … it was clean, and the candidate has all of its WAL.
bool candidate_has_all(const Situation& situation, const Shutdown& shutdown);
// … and it will not get what it lacks any more.
bool candidate_stays_behind(const Situation& situation, const Shutdown& shutdown, Instant& again_at);

// Stopping and returning: nothing but the operator's policy stands against a failover, should the primary have failed.
bool failover_may_follow(const Situation& situation);

// Returning: the primary that was shut down takes writes again.
bool primary_is_back(const Situation& situation);

// How the order ends while the cluster is steady.
void settle_switchover(const Situation& situation, OperatorOrder& order, Decision& decision);

}  // namespace pgkeel
