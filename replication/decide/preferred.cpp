#include "replication/decide/preferred.h"

#include <algorithm>
#include <optional>
#include <utility>

#include "replication/decide/orders.h"
#include "replication/decide/switchover.h"

namespace pgkeel {
namespace {

using namespace std::chrono_literals;

constexpr Duration kPauseAtLeast = 1min;  // also where failover_pause is 0: an order that fails is not given in a loop
constexpr int kPausesBetween = 6;         // a node that fails again and again is not switched to again and again

// `again_at` is lowered to the moment when the answer may change by time alone.
std::optional<OperatorOrder> switch_back_due(const Situation& situation, Instant& again_at) {
  const ClusterMemory& memory = situation.memory;
  const std::string& preferred = situation.policy.preferred;
  const bool wanted = !preferred.empty() && preferred != memory.primary && memory.phase == Phase::kSteady &&
                      situation.policy.mode == FailoverMode::kAutomatic && !memory.maintenance;
  if (!wanted || !situation.view.normal_since) return std::nullopt;
  const Instant now = situation.now.instant;
  const Duration pause = std::max<Duration>(situation.policy.failover_pause, kPauseAtLeast);
  Instant due = *situation.view.normal_since + pause;
  if (memory.switched_back) {
    const Duration since_last = situation.now.wall - *memory.switched_back;
    due = std::max(due, now + kPausesBetween * pause - since_last);
  }
  if (now < due) {
    again_at = std::min(again_at, due);
    return std::nullopt;
  }
  OperatorOrder order;
  order.kind = OrderKind::kSwitchover;
  order.node = preferred;
  order.given_by = "preferred = \"" + preferred + "\"";
  order.given_at = situation.now.wall;
  if (!judge_switchover(situation, order).accepted) return std::nullopt;
  return order;
}

}  // namespace

void order_switch_back(const Situation& situation, Decision& decision) {
  auto order = switch_back_due(situation, decision.decide_again_at);
  if (!order) return;
  decision.next = accept_order(decision.next, std::move(*order));
  decision.next.switched_back = situation.now.wall;
}

}  // namespace pgkeel
