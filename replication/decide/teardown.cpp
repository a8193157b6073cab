#include "replication/decide/teardown.h"

#include <algorithm>
#include <utility>
#include <vector>

#include "replication/decide/collision.h"
#include "replication/decide/failover.h"
#include "replication/decide/hearing.h"
#include "replication/decide/order_outcome.h"
#include "replication/decide/orders.h"
#include "replication/decide/retry.h"
#include "replication/model/slot_name.h"

namespace pgkeel {
namespace {

using namespace std::chrono_literals;

constexpr Duration kAskTeardownAgainPause = 500ms;
constexpr Duration kPrimaryPatience = 2min;       // for one that does not answer, before the order has failed
constexpr std::uint32_t kFailuresOfARelease = 3;  // in a row, before it is left as it is
constexpr Duration kAgainPause = 1s;              // before what is still there is taken back again

Verdict teardown_is_possible(const Situation& situation, const OperatorOrder& order) {
  const ClusterMemory& memory = situation.memory;
  if (memory.phase == Phase::kTornDown) {
    if (memory.primary.empty()) return Verdict::no("the cluster is torn down already");
    return nothing_is_under_way(situation, order);  // an earlier order could not finish it
  }
  if (memory.phase == Phase::kUnadopted) return Verdict::no("pgkeel has not taken the cluster up; see `pgkeel status`");
  if (memory.phase == Phase::kStopped)
    return Verdict::no(
        "the cluster is stopped, and what is set in its servers can only be taken back where they run; "
        "`pgkeel start` first");
  if (memory.phase != Phase::kSteady)
    return Verdict::no("the primary is being changed (" + std::string(phase_name(memory.phase)) +
                       "); wait until that is over");
  if (situation.adoption_is_open()) return Verdict::no(why_not_adopted(situation));
  if (const Verdict alone = no_rival_primary(situation); !alone) return alone;
  const NodeView* primary = situation.primary();
  if (primary == nullptr || !primary->answers_as_primary())
    return Verdict::no(memory.primary + ", the primary, does not answer: what is set there cannot be taken back");
  // It is what keeps it from being a second primary.
  for (const auto& node : situation.view.nodes) {
    if (!situation.is_old_primary(node.name)) continue;
    return Verdict::no(node.name +
                       " was the primary before, and has not been a standby since: nobody would keep it "
                       "from coming up as a second primary; make it a standby (`pgkeel rejoin`), or take it out of the "
                       "configuration");
  }
  return nothing_is_under_way(situation, order);
}

// A copy that somebody reads from on the standby itself has become his.
bool slots_are_left(const Situation& situation, const NodeView& node, std::string& copy) {
  const bool is_standby = node.name != situation.memory.primary;
  for (const auto& slot : node.facts->slots) {
    if (slot.name.starts_with(kSlotPrefix)) return true;
    const bool is_copy = is_standby && situation.memory.kept_slots.contains({node.name, slot.name});
    if (!is_copy || slot.active_pid) continue;
    copy = slot.name;
    return true;
  }
  return false;
}

// What pgkeel set up there is taken back, and its newest facts show it.
bool is_released(const Situation& situation, const NodeView& node) {
  const ActionStatus* release = situation.current_action(ActionKind::kRelease, node.name);
  if (release == nullptr || release->running || !release->succeeded) return false;
  std::string copy;
  return node.answering() && node.facts_at >= release->finished_at && !slots_are_left(situation, node, copy);
}

// It was tried often enough, since this order was given.
bool cannot_be_released(const Situation& situation, const NodeView& node) {
  const ActionStatus* release = situation.current_action(ActionKind::kRelease, node.name);
  const OperatorOrder* order = running_order(situation.memory, OrderKind::kTeardown);
  return order != nullptr && release != nullptr && !release->running && release->failures >= kFailuresOfARelease &&
         release->started_at >= order_since(situation, *order);
}

// Nobody can do anything about it.
bool is_left(const Situation& situation, const NodeView& node) {
  if (situation.is_of_another_cluster(node)) return true;
  if (cannot_be_released(situation, node)) return true;
  const bool may_answer_yet = node.suspicion.liveness == Liveness::kUnknown && not_heard_from_yet(situation) != nullptr;
  return !node.answering() && !may_answer_yet;
}

// One step after the other, each looked at before the next: settings and our own slots, then copies of slots of others.
void take_back(const Situation& situation, const NodeView& node, Decision& decision) {
  const ActionStatus* release = situation.current_action(ActionKind::kRelease, node.name);
  const ActionStatus* drop = situation.current_action(ActionKind::kDropSlot, node.name);
  if (drop != nullptr && drop->running) return;
  const bool released = release != nullptr && !release->running && release->succeeded;
  std::string copy;
  bool dropped_in_vain = false;
  if (released) {
    const Instant newest = drop == nullptr ? release->finished_at : std::max(release->finished_at, drop->finished_at);
    if (node.facts_at < newest) return ask(situation, node, kAskTeardownAgainPause, decision);
    if (!slots_are_left(situation, node, copy)) return;
    dropped_in_vain = drop != nullptr && drop->action.slot == copy;
    const Instant due = newest + kAgainPause;
    if ((copy.empty() || dropped_in_vain) && situation.now.instant < due) {
      decision.decide_again_at = std::min(decision.decide_again_at, due);
      return;
    }
  }
  Action action =
      make_action(copy.empty() ? ActionKind::kRelease : ActionKind::kDropSlot, node.name, situation.memory.epoch);
  action.slot = copy;
  if (copy.empty() && node.name != situation.memory.primary) action.upstream = situation.memory.primary;
  start_action(situation, std::move(action), decision);
}

std::string tell_copies_in_use(const Situation& situation, const NodeView& standby) {
  std::string text;
  for (const auto& slot : standby.facts->slots) {
    if (slot.active_pid && situation.memory.kept_slots.contains({standby.name, slot.name}))
      text += "; slot " + slot.name + " stays on " + standby.name + ", where somebody reads from it";
  }
  return text;
}

// What becomes of the standbys, for whoever has to look after them from now on.
std::string tell_standbys(const Situation& situation, bool done) {
  std::vector<std::string> streaming;
  std::string left;
  for (const auto& node : situation.view.nodes) {
    if (node.name == situation.memory.primary || situation.is_of_another_cluster(node)) continue;
    if (done ? is_released(situation, node) : node.answers_as_standby()) {
      streaming.push_back(node.name);
      if (done) left += tell_copies_in_use(situation, node);
      continue;
    }
    left +=
        "; " + node.name + " keeps what pgkeel set there (primary_slot_name, its slots): " +
        (cannot_be_released(situation, node) ? situation.current_action(ActionKind::kRelease, node.name)->last_failure
                                             : "it does not answer");
  }
  if (streaming.empty()) return left;
  const bool one = streaming.size() == 1;
  return "; " + join_names(streaming) + (one ? " stays a standby of " : " stay standbys of ") +
         situation.memory.primary + ", without a slot, and nobody watches or promotes " + (one ? "it" : "them") + left;
}

}  // namespace

OrderAnswer judge_teardown(const Situation& situation, const OperatorOrder& order) {
  if (const Verdict possible = teardown_is_possible(situation, order); !possible) return refused(possible.why_not);
  const NodeView* primary = situation.primary();
  return accepted(
      "Every session ends with 57P01, and who connects gets 08001: the access point leads nowhere any more. " +
      situation.memory.primary + " stays a primary" +
      (primary == nullptr ? "" : ", for clients at " + format_host_port(primary->address)) +
      "; its slots pgkeel_* are dropped, and synchronous_standby_names and what else pgkeel set is reset" +
      tell_standbys(situation, false) + ". No server is stopped, and no data touched. The state is put away.");
}

bool teardown_may_begin(const Situation& situation) {
  const OperatorOrder* order = running_order(situation.memory, OrderKind::kTeardown);
  return order != nullptr && !order->carried_out && not_heard_from_yet(situation) == nullptr &&
         teardown_is_possible(situation, *order);
}

void judge_torn_down(const Situation& situation, Decision& decision) {
  const ClusterMemory& memory = situation.memory;
  decision.condition = Condition::kTornDown;
  decision.route_mode = RouteMode::kTornDown;
  decision.route_reason = memory.reason;
  if (running_order(memory, OrderKind::kTeardown) == nullptr) {
    decision.summary =
        memory.reason +
        (memory.primary.empty()
             ? "; take it out of the configuration, or take it up again with `pgkeel serve --adopt NODE`"
             : "; what pgkeel set on " + memory.primary + " is not all taken back: give the order again");
    return;
  }
  decision.summary = memory.reason + "; what pgkeel set up is being taken back";
  const bool closed = situation.view.route_epoch_applied == memory.epoch && situation.view.route_closed;
  if (!closed) return;  // clients still work there
  bool standbys_done = true;
  for (const auto& node : situation.view.nodes) {
    if (node.name == memory.primary || is_released(situation, node) || is_left(situation, node)) continue;
    standbys_done = false;
    if (node.answering()) take_back(situation, node, decision);
  }
  // A standby that still names its slot could not stream without it.
  const NodeView* primary = situation.primary();
  if (standbys_done && primary != nullptr && primary->answering() && !is_released(situation, *primary))
    take_back(situation, *primary, decision);
}

void settle_teardown(const Situation& situation, OperatorOrder& order, Decision& decision) {
  const ClusterMemory& memory = situation.memory;
  if (memory.phase == Phase::kSteady) {
    if (too_early_to_judge(situation, decision.decide_again_at)) return;
    if (const Verdict possible = teardown_is_possible(situation, order); !possible)
      end_order(order, OrderState::kFailed, possible.why_not);
    return;
  }
  if (memory.phase != Phase::kTornDown) return;
  const NodeView* primary = situation.primary();
  if (primary == nullptr)
    return end_order(order, OrderState::kFailed, memory.primary + ", the primary, is not configured any more");
  if (!is_released(situation, *primary)) {
    if (cannot_be_released(situation, *primary)) {
      const auto& why = situation.current_action(ActionKind::kRelease, primary->name)->last_failure;
      return end_order(
          order, OrderState::kFailed,
          "what pgkeel set on " + primary->name + " could not be taken back: " + why + "; give the order again");
    }
    const Instant due = order_since(situation, order) + kPrimaryPatience;
    if (primary->answering()) return;
    if (situation.now.instant >= due)
      return end_order(order, OrderState::kFailed, why_not_known(*primary) + "; give the order again when it does");
    decision.decide_again_at = std::min(decision.decide_again_at, due);
    return;
  }
  end_order(order, OrderState::kDone,
            primary->name + " stands alone, at " + format_host_port(primary->address) + tell_standbys(situation, true));
}

void put_state_away(ClusterMemory& memory) {
  if (memory.phase != Phase::kTornDown || memory.primary.empty()) return;
  const auto newest =
      std::ranges::find(memory.orders.rbegin(), memory.orders.rend(), OrderKind::kTeardown, &OperatorOrder::kind);
  if (newest == memory.orders.rend() || newest->state != OrderState::kDone) return;
  ClusterMemory rest;
  rest.phase = memory.phase;
  rest.epoch = memory.epoch;
  rest.reason = memory.reason;
  rest.standby_names_order = memory.standby_names_order;
  rest.orders_given = memory.orders_given;
  rest.orders = memory.orders;
  memory = std::move(rest);
}

}  // namespace pgkeel
