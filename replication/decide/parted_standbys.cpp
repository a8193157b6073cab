#include "replication/decide/parted_standbys.h"

#include <algorithm>
#include <vector>

#include "replication/decide/cutting_off.h"
#include "replication/decide/maintenance.h"
#include "replication/decide/retry.h"
#include "replication/model/nowhere.h"

namespace pgkeel {
namespace {

// It receives from `upstream`, or will again when that is back.
bool may_receive_from(const Situation& situation, const NodeView& standby, const NodeView& upstream) {
  const NodeFacts& facts = *standby.facts;
  if (facts.wal_receiver_streaming) return facts.wal_receiver_source == upstream.address;
  const bool leads_nowhere = facts.primary_conninfo.find(kNowhere) != std::string::npos;
  return !leads_nowhere && !is_cut_off(situation, standby);
}

bool is_being_cut_off(const NodeView& standby, const Decision& decision) {
  return std::ranges::any_of(decision.actions, [&](const Action& action) {
    return action.kind == ActionKind::kCutOff && action.node == standby.name;
  });
}

}  // namespace

bool has_parted(const NodeView& standby, const NodeView& primary) {
  const NodeFacts& facts = *standby.facts;
  const NodeFacts& of_primary = *primary.facts;
  if (facts.timeline > of_primary.timeline || timelines_differ(facts, of_primary)) return true;
  return facts.timeline < of_primary.timeline && !streams_from(standby, primary) && of_primary.timeline_history_known &&
         !on_history_of(facts, of_primary);
}

bool may_be_on_a_twin(const Situation& situation, const NodeView& standby, const NodeView& primary) {
  const NodeFacts& facts = *standby.facts;
  const bool compared = facts.timeline_history_known && primary.facts->timeline_history_known;
  return facts.timeline == primary.facts->timeline && facts.timeline > 1 && !compared &&
         !situation.memory.nodes.empty() && !streams_from(standby, primary);
}

std::string cut_off_those_that_follow(const Situation& situation, const NodeView& primary, const NodeView& node,
                                      Decision& decision) {
  std::vector<std::string> names;
  std::string why_not;
  for (const auto& standby : situation.view.nodes) {
    if (&standby == &node || &standby == &primary || !standby.answers_as_standby()) continue;
    if (situation.is_of_another_cluster(standby)) continue;
    if (!has_parted(standby, primary) && !may_be_on_a_twin(situation, standby, primary)) continue;
    if (!may_receive_from(situation, standby, node)) continue;
    names.push_back(standby.name);
    if (is_out(situation.memory, standby.name)) {
      why_not += "; " + standby.name + " is under maintenance, and left alone";
      continue;
    }
    if (!is_being_cut_off(standby, decision))  // for the sake of another node
      start_action(situation, make_action(ActionKind::kCutOff, standby.name, situation.memory.epoch), decision);
    const ActionStatus* cut = situation.current_action(ActionKind::kCutOff, standby.name);
    if (cut != nullptr && !cut->running && !cut->succeeded) why_not += "; " + standby.name + ": " + cut->message;
  }
  if (names.empty()) return "";
  return join_names(names) + ", of another history than " + primary.name + ", must cease to receive from it first" +
         why_not;
}

}  // namespace pgkeel
