#include "proxy/vip/vip_decision.h"

#include <algorithm>

namespace pgkeel {

VipDecision decide_vip(const VipSituation& situation) {
  VipDecision decision;
  if (situation.newest != nullptr) {
    const bool is_ours = situation.newest->node == situation.name;
    if (is_ours) {
      if (situation.is_held || !situation.takes_nothing) decision.hold_until = situation.may_hold_until;
    } else if (situation.is_held) {
      decision.leaving_since = situation.leaving_since.value_or(situation.now);
      // Where it shall be nobody's, nobody takes it before this pgkeel has said that it is gone, or its time is over.
      // Where it is another one's already, that time is over.
      if (!situation.everybody_is_told && situation.newest->node.empty()) {
        decision.hold_until = std::max(situation.granted_until, situation.may_hold_until);
        decision.leave_by = *decision.leaving_since + kVipFarewell;
      }
    }
    if (is_ours || !situation.is_held) decision.acknowledge = situation.newest->serial;
  }
  if (!situation.leads || situation.takes_nothing) return decision;
  if (situation.agreed == nullptr || (!situation.agreed->node.empty() && situation.agreed->node != situation.name))
    decision.write = "";
  else if (situation.agreed->node.empty() && situation.closed_elsewhere)
    decision.write = situation.name;
  return decision;
}

}  // namespace pgkeel
