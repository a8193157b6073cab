#include "replication/decide/election.h"

#include <algorithm>
#include <string>

#include "replication/decide/candidate.h"
#include "replication/decide/durability.h"
#include "replication/sync/sync_planner.h"

namespace pgkeel {

bool position_is_told(const Situation& situation, const NodeView& standby) {
  const bool matters = safety_is_demanded(situation) && positions_needed(situation.memory.promise) >= 2;
  return !matters || (standby.facts && !standby.facts->replays_own_wal);
}

const NodeView* member_with_more(const Situation& situation, const NodeView& candidate) {
  const auto found = std::ranges::find_if(situation.view.nodes, [&](const NodeView& node) {
    return situation.memory.promise.contains(node.name) && node.answers_as_standby() &&
           node.facts->timeline >= candidate.facts->timeline &&
           node.facts->wal_position > candidate.facts->wal_position && !may_be_promoted(situation, node);
  });
  return found == situation.view.nodes.end() ? nullptr : &*found;
}

Verdict election_is_possible(const Situation& situation) {
  if (!safety_is_demanded(situation)) return Verdict::good();
  const SyncQuorum& promise = situation.memory.promise;
  if (promise.empty()) return Verdict::no("no standby is known to hold every acknowledged commit");
  std::uint32_t tell = 0;
  std::string replaying;
  for (const auto& member : promise.members) {
    const NodeView* node = situation.view.node(member);
    if (node == nullptr || !node->answers_as_standby()) continue;
    if (position_is_told(situation, *node)) {
      ++tell;
    } else {
      replaying += "; " + member + " still replays the WAL that it had when it started (up to " +
                   format_lsn(node->facts->wal_position) + " now), and does not know its end before" +
                   (node->facts->replay_paused ? ": its replay is paused (pg_wal_replay_resume() lets it go on)" : "");
    }
  }
  const std::uint32_t needed = positions_needed(promise);
  if (tell >= needed) {
    const NodeView* best = best_candidate(situation);
    const NodeView* more = best == nullptr ? nullptr : member_with_more(situation, *best);
    return more == nullptr ? Verdict::good()
                           : Verdict::no("the last commit may be on " + more->name + " alone, and " +
                                         may_be_promoted(situation, *more).why_not);
  }
  return Verdict::no("the last commit may be on any " + std::to_string(promise.acks) + " of " +
                     join_names(promise.members) + ", and only " + std::to_string(tell) + " of the " +
                     std::to_string(needed) + " that must tell their position " + (tell == 1 ? "answers" : "answer") +
                     replaying);
}

bool somebody_can_be_elected(const Situation& situation) {
  return best_candidate(situation) != nullptr && election_is_possible(situation);
}

}  // namespace pgkeel
