#include "replication/decide/hearing.h"

#include <algorithm>

namespace pgkeel {
namespace {

// So many times failure_timeout it is waited for.
constexpr int kHearingPatience = 2;

}  // namespace

const NodeView* not_heard_from_yet(const Situation& situation) {
  // A node that cannot even be asked (a name that does not resolve) must not stand in the way for ever.
  if (situation.now.instant - situation.view.phase_since > kHearingPatience * situation.policy.failure_timeout)
    return nullptr;
  for (const auto& node : situation.view.nodes) {
    if (node.name != situation.memory.primary && node.suspicion.liveness == Liveness::kUnknown) return &node;
  }
  return nullptr;
}

bool too_early_to_judge(const Situation& situation, Instant& again_at) {
  const Instant due = situation.view.phase_since + kHearingPatience * situation.policy.failure_timeout;
  if (situation.now.instant > due) return false;
  const bool too_early = std::ranges::any_of(situation.view.nodes, [](const NodeView& node) {
    return node.suspicion.liveness == Liveness::kUnknown || !node.local_doubt.empty();
  });
  if (too_early) again_at = std::min(again_at, due + Duration(1));
  return too_early;
}

}  // namespace pgkeel
