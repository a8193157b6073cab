// The questions between the failure of a primary and the first write on the next one. Pure.
#pragma once

#include <vector>

#include "replication/decide/situation.h"

namespace pgkeel {

// The primary failed and everything allows to replace it automatically, now.
Verdict failover_is_due(const Situation& situation);

// failover_pause is over since the last automatic failover.
Verdict pause_is_over(const Situation& situation);

// What became of closing the old epoch, and of fencing its primary and an abandoned candidate.
struct Fenced {
  bool done = false;            // nothing that must be, or is worth, waiting for is missing
  bool proven_stopped = false;  // the old primary
  Instant positions_since;      // positions of standbys that were read before this say too little
};
Fenced fenced(const Situation& situation);

// The node was proven stopped by this fence, and has been started since, by us or by somebody else.
bool runs_again(const Situation& situation, const NodeView& node, const ActionStatus& fence);

// There is none, or it was proven stopped in this epoch and not heard from since.
bool abandoned_candidate_is_stopped(const Situation& situation);

// An operator takes the risk that it runs on: it is fenced as far as it can be reached, and not waited for.
bool abandoned_candidate_may_run_on(const Situation& situation);

// How long a standby's walreceiver may take to read what the dead primary had sent it.
constexpr Duration kWalReceiverPatience = std::chrono::milliseconds(200);

// What this standby told of its WAL is all that it will get from the old primary: it was asked after the fence, or it
// has no walreceiver any more and a dead postmaster gives it no new one.
bool position_is_final(const Situation& situation, const NodeView& standby, const Fenced& so_far);

// Candidates with a walreceiver that may still have something to read. One that streams from another candidate gets no
// more than that one has.
std::vector<const NodeView*> receiving_candidates(const Situation& situation);

// The candidate that may be told to promote: the old epoch is closed everywhere, the old primary is fenced as far as it
// can be reached, and the positions of the standbys are read anew. Nothing: not yet, or nobody.
const NodeView* candidate_to_promote(const Situation& situation, Instant& again_at);

// The old primary needs fencing before the candidate is promoted, and can be reached for it.
bool fence_is_worth_waiting_for(const NodeView& old_primary);

// The node that somebody promoted by hand, where following it is safe (design 2.1); else why not.
struct HandPromotion {
  const NodeView* node = nullptr;  // promoted by hand; nullptr: nobody was
  Verdict safe;
  bool examine_old_primary = false;  // the verdict waits for kExamine
  Instant examine_again_at = Instant::max();
};
HandPromotion hand_promotion(const Situation& situation);

// First start: the one primary of a complete cluster on one history; else why not.
struct Adoption {
  const NodeView* primary = nullptr;
  std::string why_not;
  bool two_primaries = false;
};
Adoption adoption(const Situation& situation);

// `serve --adopt NODE`: the node answers as a primary, and is not the one of the memory.
const NodeView* adopted_by_operator(const Situation& situation);

// … or it does not: what is waited for.
std::string why_not_adopted(const Situation& situation);

}  // namespace pgkeel
