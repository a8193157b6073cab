#include "replication/execute/cluster_controller.h"

#include <algorithm>
#include <cassert>
#include <optional>
#include <utility>

#include "replication/decide/decide.h"
#include "replication/decide/orders.h"
#include "replication/decide/retry.h"

namespace pgkeel {

using namespace std::chrono_literals;

namespace {

constexpr Duration kStoreRetryPause = 1s;
// How long an order to adopt waits for its node. Later it would be somebody else's promotion.
constexpr Duration kAdoptionPatience = 5min;

// What no node is called.
constexpr const char* kSomeNode = "another node";

bool is_routine(ActionKind kind) {
  return kind == ActionKind::kProbe || kind == ActionKind::kKeepSlot;
}

// For the audit: what, and from where.
std::string describe(const OperatorOrder& order) {
  std::string text = order_name(order.kind);
  if (order.kind == OrderKind::kMaintenance) text += order.on ? " on" : " off";
  if (!order.node.empty()) text += " " + order.node;
  if (order.accept_loss) text += ", accepting loss";
  if (order.rebuild) text += ", by a rebuild";
  if (order.discard_old_data) text += ", without keeping the old data directory";
  return text + ", from " + order.given_by;
}

}  // namespace

ClusterController::ClusterController(std::string name, FailoverPolicy policy, ClusterMemory memory, Effects& effects,
                                     DecisionCore core)
    : name_(std::move(name)),
      policy_(std::move(policy)),
      memory_(std::move(memory)),
      effects_(&effects),
      core_(std::move(core)) {
  applied_.epoch = 0;
  decision_.summary = "nothing is decided yet: the nodes are being asked";
}

void ClusterController::resume(const RouteOrder& open) {
  published_ = open;
  applied_ = open;
  anything_published_ = true;
  applied_is_new_ = true;
  maybe_open_ = open.node;
}

void ClusterController::take_over(const RouteOrder& newest) {
  if (!newest.node.empty()) return resume(newest);
  applied_.epoch = newest.epoch;
  applied_.node = maybe_open_ = kSomeNode;
}

void ClusterController::reconfigure(FailoverPolicy policy, const std::vector<NodeConfig>& nodes) {
  policy.adopt = std::move(policy_.adopt);
  policy_ = std::move(policy);
  rejoins_.reconfigured();
  const auto is_gone = [&](const std::string& node) {
    return std::ranges::find(nodes, node, &NodeConfig::name) == nodes.end();
  };
  std::erase_if(view_.actions,
                [&](const ActionStatus& status) { return !status.running && is_gone(status.action.node); });
  std::erase_if(told_failed_, [&](const auto& told) { return is_gone(told.first); });
  std::erase_if(told_outcomes_, [&](const auto& told) { return is_gone(told.first.second); });
}

void ClusterController::step(const std::vector<NodeView>& nodes, Now now) {
  if (view_.phase_since == Instant{}) view_.phase_since = started_at_ = now.instant;
  if (std::exchange(applied_is_new_, false)) applied_since_ = now.instant;
  tell_of_nodes(nodes, now);
  for (const auto& node : rejoins_.saw(nodes, memory_.primary, now.instant)) begin_rejoins_anew(node);
  for (const auto& node : nodes) {
    if (node.name == memory_.primary && node.answers_as_primary())
      flushes_.primary_said(*node.facts, node.facts_at, now.instant);
  }
  see(nodes);
  if (under_way_) return;
  // Each round takes at most one transition; the table has no cycle that needs no new observation.
  constexpr int kMostRounds = 16;
  for (int round = 0; round < kMostRounds; ++round) {
    keep_order_to_adopt(now);
    see_orders(now);
    decision_ = core_(view_, memory_, policy_, now);
    if (decision_.condition != Condition::kNormal) view_.normal_since.reset();
    if (decision_.condition == Condition::kNormal && !view_.normal_since) view_.normal_since = now.instant;
    remind_of_maintenance(now);
    if (!policy_.adopt.empty())
      decision_.decide_again_at = std::min(decision_.decide_again_at, started_at_ + kAdoptionPatience);

    // Nothing is told of a memory that stays as it is.
    std::optional<ClusterMemory> before;
    if (decision_.next != memory_) before = memory_;
    if (before || !state_error_.empty()) {
      const auto then = [this, before](Now later) { act(before, later); };
      if (make_durable(decision_.next, now, then) != Durable::kYes) return;
    }
    act(before, now);
    if (decision_.transition.empty()) return;
  }
  assert(!"the transition table cycles");
}

void ClusterController::look(const std::vector<NodeView>& nodes, Now now) {
  if (view_.phase_since == Instant{}) view_.phase_since = started_at_ = now.instant;
  see(nodes);
  decision_ = core_(view_, memory_, policy_, now);
}

// What was decided is durable: it may be told, and done.
void ClusterController::act(const std::optional<ClusterMemory>& before, Now now) {
  see_orders(now);  // those that it began by itself
  if (!decision_.transition.empty()) {
    view_.phase_since = now.instant;
    told_outcomes_.clear();
    tell(now, LogLevel::kWarning, "transition", memory_.candidate.empty() ? memory_.primary : memory_.candidate,
         std::string(phase_name(memory_.phase)) + ": " + memory_.reason);
  } else if (decision_.summary != last_summary_) {
    last_summary_ = decision_.summary;
    tell(now, decision_.condition == Condition::kNormal ? LogLevel::kInfo : LogLevel::kWarning, "condition", "",
         std::string(condition_name(decision_.condition)) + ": " + decision_.summary);
  }
  if (before) {
    tell_of_orders(before->orders, now);
    tell_of_slots(*before, view_.nodes, now);
  }
  publish({memory_.epoch, decision_.route_node, decision_.route_reason, decision_.route_mode}, now);
  for (const auto& node : decision_.break_off) break_off_job_of(node, now);
  for (const auto& action : decision_.actions) start(action, now);
}

void ClusterController::see(const std::vector<NodeView>& nodes) {
  view_.nodes = nodes;
  view_.flushes = flushes_.flushes();
  view_.rests = releases_.rests();
  view_.route_epoch_applied = applied_.epoch;
  view_.route_closed = applied_.node.empty();
  view_.route_drained = drained_;
  view_.route_applied_since = applied_since_;
}

OrderAnswer ClusterController::give_order(const OperatorOrder& order, bool preview, const std::vector<NodeView>& nodes,
                                          Now now) {
  see(nodes);
  OrderAnswer answer = judge_order({view_, memory_, policy_, now}, order);
  if (preview) return answer;
  const std::string text = describe(order);
  if (!answer.accepted) {
    tell(now, LogLevel::kWarning, "order", order.node, text + ": refused: " + answer.reason);
    return answer;
  }
  const ClusterMemory next = accept_order(memory_, order);
  const auto tell_of_it = [this, node = order.node, id = next.orders_given, text](Now later) {
    tell(later, LogLevel::kWarning, "order", node, "order " + std::to_string(id) + ": " + text + ": accepted");
  };
  const Durable durable = make_durable(next, now, tell_of_it);
  if (durable == Durable::kNo) {
    answer = {};
    answer.reason = "the state cannot be stored, so nothing is changed: " + state_error_;
    return answer;
  }
  if (order.kind == OrderKind::kRejoin || order.kind == OrderKind::kProvision) rejoins_.ordered(order.node);
  answer.id = next.orders_given;
  if (durable == Durable::kYes) tell_of_it(now);
  return answer;
}

void ClusterController::see_orders(Now now) {
  for (const auto& order : memory_.orders) {
    if (order.state == OrderState::kRunning) view_.orders_since.emplace(order.id, now.instant);
  }
  std::erase_if(view_.orders_since, [&](const auto& seen) {
    return std::ranges::none_of(memory_.orders, [&](const OperatorOrder& order) {
      return order.id == seen.first && order.state == OrderState::kRunning;
    });
  });
}

void ClusterController::tell_of_orders(const std::vector<OperatorOrder>& before, Now now) {
  for (const auto& order : memory_.orders) {
    const auto old = std::ranges::find(before, order.id, &OperatorOrder::id);
    if (old == before.end()) {
      tell(now, LogLevel::kWarning, "order", order.node,
           "order " + std::to_string(order.id) + ": " + describe(order) + ": begun by itself");
    }
    if (order.state == OrderState::kRunning || old == before.end() || old->state != OrderState::kRunning) continue;
    tell(now, order.state == OrderState::kDone ? LogLevel::kInfo : LogLevel::kError, "order", order.node,
         "order " + std::to_string(order.id) + ": " + order_name(order.kind) + " " + order_state_name(order.state) +
             ": " + order.message);
  }
}

void ClusterController::keep_order_to_adopt(Now now) {
  if (policy_.adopt == memory_.primary) policy_.adopt.clear();  // it is carried out once
  if (policy_.adopt.empty() || now.instant < started_at_ + kAdoptionPatience) return;
  tell(now, LogLevel::kWarning, "adopt", policy_.adopt,
       "the order to adopt " + policy_.adopt + " is dropped: it did not answer as a primary within " +
           format_duration(kAdoptionPatience));
  policy_.adopt.clear();
}

ClusterController::Durable ClusterController::make_durable(const ClusterMemory& next, Now now,
                                                           std::function<void(Now now)> then) {
  // After a store that failed nobody knows what is on the disk: what holds is written again, even where nothing
  // changed.
  const bool written_again = next == memory_;
  if (written_again && state_error_.empty()) return Durable::kYes;
  if (written_again && now.instant < store_again_at_) {
    decision_.decide_again_at = std::min(decision_.decide_again_at, store_again_at_);
    return Durable::kYes;
  }
  const auto storing = effects_->store(next);
  if (!storing) {
    store_failed(storing.error().message, written_again, now);
    return written_again ? Durable::kYes : Durable::kNo;
  }
  if (*storing == Storing::kUnderWay) {
    under_way_ = UnderWay{next, written_again, std::move(then)};
    return Durable::kLater;
  }
  store_succeeded(next, now);
  return Durable::kYes;
}

void ClusterController::stored(const Result<void>& outcome, Now now) {
  assert(under_way_);
  const UnderWay was = *std::exchange(under_way_, std::nullopt);
  if (outcome)
    store_succeeded(was.next, now);
  else
    store_failed(outcome.error().message, was.written_again, now);
  if (outcome || was.written_again) was.then(now);
}

void ClusterController::store_succeeded(const ClusterMemory& next, Now now) {
  if (!std::exchange(state_error_, {}).empty()) tell(now, LogLevel::kInfo, "state", "", "the state is stored again");
  releases_.memory_changed(memory_, next, now.instant);
  memory_ = next;
}

void ClusterController::store_failed(const std::string& why, bool written_again, Now now) {
  if (state_error_ != why) {
    state_error_ = why;
    tell(now, LogLevel::kError, "state", "", "the state cannot be stored, so nothing is changed: " + state_error_);
  }
  store_again_at_ = now.instant + kStoreRetryPause;
  decision_.decide_again_at = std::min(decision_.decide_again_at, store_again_at_);
  if (written_again) return;
  // Nothing may be announced that is not durable; only to close the route is always safe.
  if (decision_.route_node != published_.node)
    publish({memory_.epoch, "", "the state cannot be stored: " + state_error_, RouteMode::kNormal}, now);
  decision_.actions.clear();
  decision_.break_off.clear();
  decision_.next = memory_;
  decision_.transition.clear();
  decision_.condition = published_.node.empty() ? Condition::kNoRoute : Condition::kDegraded;
  decision_.summary = "the state cannot be stored: " + state_error_;
}

void ClusterController::publish(RouteOrder order, Now now) {
  if (!order.node.empty() && !maybe_open_.empty() && maybe_open_ != order.node)
    order = {order.epoch, "", "the access point moves from " + maybe_open_ + " to " + order.node, order.mode};
  if (anything_published_ && order.same_route(published_)) return;
  assert(!anything_published_ || order.epoch >= published_.epoch);
  const bool same_access = anything_published_ && order.node == published_.node && order.node.empty();
  drained_ = false;
  published_ = order;
  anything_published_ = true;
  if (!order.node.empty()) maybe_open_ = order.node;
  if (!same_access) {
    tell(now, order.node.empty() ? LogLevel::kWarning : LogLevel::kInfo, "route", order.node,
         order.node.empty()                   ? "the access point leads nowhere: " + order.reason
         : order.mode == RouteMode::kDraining ? "the access point lets nobody new through to " + order.node
                                              : "the access point leads to " + order.node);
  }
  effects_->publish_route(order);
}

void ClusterController::start(const Action& action, Now now) {
  auto found = std::ranges::find_if(view_.actions, [&](const ActionStatus& status) {
    return status.action.kind == action.kind && status.action.node == action.node;
  });
  if (found == view_.actions.end()) found = view_.actions.insert(view_.actions.end(), ActionStatus{});
  assert(!found->running);
  ActionStatus status;
  status.action = action;
  status.running = true;
  status.started_at = now.instant;
  const bool is_tried_again =
      found->action.epoch == action.epoch && found->action.standby_names_order == action.standby_names_order;
  if (is_tried_again) {
    status.failures = found->failures;
    status.copies = found->copies;
    status.last_failure = found->last_failure;
  }
  *found = status;
  if (action.kind == ActionKind::kRejoin) rejoins_.started(action.node);
  if (!is_routine(action.kind) && !is_repetition(action.kind, action.node)) {
    tell(now, LogLevel::kInfo, "action", action.node,
         std::string(action_name(action.kind)) + " " + action.node + ": started");
  }
  effects_->start(action);
}

void ClusterController::begin_rejoins_anew(const std::string& node) {
  for (auto& status : view_.actions) {
    if (status.action.kind != ActionKind::kRejoin || status.action.node != node) continue;
    status.failures = status.copies = 0;
    status.last_failure.clear();
  }
}

void ClusterController::break_off_job_of(const std::string& node, Now now) {
  for (auto& status : view_.actions) {
    if (status.action.node != node || !is_breakable(status) || std::exchange(status.breaking_off, true)) continue;
    tell(now, LogLevel::kWarning, "action", node,
         std::string(action_name(status.action.kind)) + " " + node + ": broken off, because it is to be fenced");
    effects_->break_off(status.action);
  }
}

void ClusterController::route_applied(const RouteOrder& order) {
  if (!order.same_route(published_)) return;
  applied_ = order;
  applied_is_new_ = true;
  if (order.node.empty()) maybe_open_.clear();
}

void ClusterController::route_drained(const RouteOrder& order) {
  if (order.same_route(published_) && order.mode == RouteMode::kDraining) drained_ = true;
}

void ClusterController::finished(const ActionStatus& outcome, Now now) {
  const auto found = std::ranges::find_if(
      view_.actions, [&](const ActionStatus& status) { return status.running && status.action == outcome.action; });
  if (found == view_.actions.end()) return;
  found->running = false;
  found->breaking_off = false;
  found->succeeded = outcome.succeeded;
  found->message = outcome.message;
  found->fence = outcome.fence;
  found->examination = outcome.examination;
  found->missing_from = outcome.missing_from;
  found->name_is_taken = outcome.name_is_taken;
  found->nothing_was_made = outcome.nothing_was_made;
  found->copied = outcome.copied;
  found->waited_from = outcome.waited_from;
  found->finished_at = now.instant;
  const bool is_rejoin = outcome.action.kind == ActionKind::kRejoin;
  if (is_rejoin) rejoins_.ended(outcome.action.node, now.instant);
  found->copies += is_rejoin && outcome.copied ? 1 : 0;
  found->failures = outcome.succeeded && !is_rejoin ? 0 : found->failures + 1;
  found->last_failure = outcome.succeeded ? "" : outcome.message;
  const bool nothing_to_tell = outcome.succeeded && outcome.message.empty();
  if (outcome.action.kind == ActionKind::kProbe) return;
  if (is_routine(outcome.action.kind) && nothing_to_tell) {
    told_outcomes_.erase({outcome.action.kind, outcome.action.node});
    return;
  }
  const std::string text = std::string(action_name(outcome.action.kind)) + " " + outcome.action.node +
                           (outcome.succeeded ? ": done" : ": failed") +
                           (outcome.message.empty() ? "" : ": " + outcome.message);
  std::string& told = told_outcomes_[{outcome.action.kind, outcome.action.node}];
  if (std::exchange(told, text) == text) return;
  tell(now, outcome.succeeded ? LogLevel::kInfo : LogLevel::kError, "action", outcome.action.node, text);
}

bool ClusterController::is_repetition(ActionKind kind, const std::string& node) const {
  return told_outcomes_.contains({kind, node});
}

void ClusterController::tell(Now now, LogLevel severity, std::string kind, std::string node, std::string text) {
  Event event;
  event.when = now.wall;
  event.cluster = name_;
  event.severity = severity;
  event.kind = std::move(kind);
  event.node = std::move(node);
  event.epoch = memory_.epoch;
  event.text = std::move(text);
  effects_->record(event);
}

}  // namespace pgkeel
