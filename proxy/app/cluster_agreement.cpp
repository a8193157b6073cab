// The part of ClusterService that works among several pgkeels: it decides in the terms in which this one leads, and
// looks on in between.
#include <algorithm>
#include <utility>

#include "proxy/app/cluster_service.h"
#include "proxy/app/policy_of.h"
#include "proxy/io/clock.h"
#include "replication/execute/order_line.h"
#include "replication/state/memory_text.h"

namespace pgkeel {
namespace {

const std::string kNotStored = "the order could not be stored: ";
// It waits for its answer, which nobody hears any more.
const std::string kMayBeStored =
    "; this order may have been stored already, and is then carried out: see `pgkeel status`";

}  // namespace

void ClusterService::agree_through(Coordination& coordination, Sights sights,
                                   std::function<void(Instant until)> set_write_deadline) {
  sights_ = std::move(sights);
  // Nothing may be written before this pgkeel knows that it may.
  set_write_deadline(coordination.membership().serve_until(config_.name));
  AgreedCluster::Wires wires;
  wires.lead = [this](const RouteOrder& order, std::function<void()> applied, std::function<void()> drained) {
    lead(order, std::move(applied), std::move(drained));
  };
  wires.set_write_deadline = std::move(set_write_deadline);
  wires.changed = [this] { agreement_changed(); };
  wires.tell = [this](const std::string& text) { record_now(LogLevel::kWarning, "coordination", "", text); };
  agreed_.emplace(loop_, config_.name, coordination, std::move(wires));
  executor_.line().share(coordination.name());
}

// A route that is closed, or on the move, is no matter of what others see.
SharedSight ClusterService::sight_of_primary(Instant now) const {
  const ClusterMemory& memory = controller_.memory();
  const Suspicion own = monitor_.health(memory.primary, now).suspicion;
  if (memory.phase != Phase::kSteady || !own.failed()) return {own, ""};
  return shared_sight(own, sights_(memory.primary), config_.detection.failure_timeout, now);
}

void ClusterService::sights_changed() {
  if (monitor_.health(controller_.memory().primary, monotonic_now()).suspicion.failed()) step_soon();
}

bool ClusterService::primary_is_doubtful() const {
  const std::string& primary = controller_.memory().primary;
  return !primary.empty() && monitor_.health(primary, monotonic_now()).suspicion.liveness != Liveness::kAlive;
}

LedCluster ClusterService::as_led() const {
  const Instant now = monotonic_now();
  const SharedSight sight = sight_of_primary(now);
  const Liveness own = monitor_.health(controller_.memory().primary, now).suspicion.liveness;
  return {.name = config_.name,
          .primary = controller_.memory().primary,
          .failure_timeout = config_.detection.failure_timeout,
          .hears_primary = own == Liveness::kAlive || own == Liveness::kLate,
          .heard_by = sight.heard_by,
          .under_way = what_is_under_way(),
          .obstacle = obstacle()};
}

std::optional<Obstacle> ClusterService::obstacle() const {
  if (term_ == 0 && unfinished_actions_ > 0)
    return Obstacle{"an action that it began when it led before has not ended", ""};
  if (!unreadable_.empty()) return Obstacle{"what etcd keeps cannot be read: " + unreadable_, ""};
  if (term_ == 0) return std::nullopt;
  if (!controller_.state_error().empty())
    return Obstacle{"its state cannot be stored: " + controller_.state_error(), ""};
  if (const std::string why = agreed_->unwritten(); !why.empty())
    return Obstacle{"its route cannot be written: " + why, ""};
  const auto uncleared = executor_.line().obstacles();
  if (uncleared.empty()) return std::nullopt;
  return Obstacle{"no order gets to " + uncleared.begin()->first + ": " + uncleared.begin()->second,
                  uncleared.begin()->first};
}

void ClusterService::tell_of_sights(Instant now) {
  const SharedSight sight = sight_of_primary(now);
  if (std::exchange(told_heard_by_, sight.heard_by) == sight.heard_by || sight.heard_by.empty()) return;
  const std::string& primary = controller_.memory().primary;
  record_of_node(LogLevel::kWarning, "coordination", primary,
                 sight.suspicion.evidence + ": only the path from this one is cut, so there is no failover");
}

void ClusterService::review_write_deadline() {
  if (agreed_) agreed_->review_write_deadline();
}

void ClusterService::review_agreement() {
  if (agreed_) agreed_->review();
}

void ClusterService::agreement_changed() {
  const std::uint64_t term = agreed_->term();
  if (term_ != 0 && term != term_) end_term();
  // What an earlier term began must have ended, so that its outcome is not taken for one of this.
  if (term_ == 0 && term != 0 && unfinished_actions_ == 0) begin_term(term);
  if (term_ == 0) learn();
}

// What all agree on; where nobody has stored anything yet, what this pgkeel knew when it was alone.
Result<ClusterMemory> ClusterService::agreed_memory() const {
  const SharedMemory* shared = agreed_->memory();
  if (shared == nullptr) return own_memory_;
  return read_memory(config_.name, shared->text);
}

void ClusterService::begin_term(std::uint64_t term) {
  auto memory = agreed_memory();
  if (!memory) {
    tell_unreadable(memory.error().message);
    return;
  }
  unreadable_.clear();
  term_ = term;
  ++tenure_;
  std::vector<std::string> answering;
  for (const auto& node : view_nodes(monotonic_now())) {
    if (node.answering()) answering.push_back(node.name);
  }
  executor_.line().begin_term(
      term, [this, term] { return agreed_->term() == term; }, answering);
  controller_ = ClusterController(config_.name, policy_of(config_, std::exchange(adopt_, {})), *memory, *this);
  if (const auto route = agreed_->route()) {
    controller_.take_over(*route);
    primary_is_unseen_ = !route->node.empty();
  }
  recorder_.resume(decisions_.unfinished(config_.name), controller_.memory(), clocks_now());
  record_now(LogLevel::kInfo, "coordination", "", "this pgkeel leads, and decides from now on");
  step_soon();
}

void ClusterService::tell_agents_of_term() {
  if (!agreed_) return;
  for (const auto& [node, agent] : agents_) agent->acting_until().set(agreed_->may_act_until(node));
}

void ClusterService::end_term() {
  term_ = 0;
  executor_.line().end_term();
  decide_again_.stop();
  agreed_->forget_wish();
  for (const auto& action : controller_.actions()) {
    if (action.running) executor_.break_off(action.action);
  }
  learned_version_ = 0;
  learn();
  refuse_orders("this pgkeel does not lead any more; give the order to the one that does");
  record_now(LogLevel::kWarning, "coordination", "", "this pgkeel does not lead any more, and decides nothing");
}

void ClusterService::learn() {
  const SharedMemory* shared = agreed_->memory();
  const auto route = agreed_->route();
  const std::uint64_t version = shared == nullptr ? 0 : shared->version;
  const bool same_route = !route || route->same_route(controller_.published_route());
  if (version == learned_version_ && same_route) return;
  learned_version_ = version;
  auto memory = agreed_memory();
  if (!memory) return tell_unreadable(memory.error().message);
  unreadable_.clear();
  controller_ = ClusterController(config_.name, policy_of(config_, ""), *memory, *this);
  if (route) controller_.resume(*route);
  step_soon();
}

void ClusterService::tell_unreadable(const std::string& problem) {
  unreadable_ = problem;
  const Instant now = monotonic_now();
  constexpr Duration kTellAgain = std::chrono::minutes(1);
  if (unreadable_told_at_ != Instant{} && now - unreadable_told_at_ < kTellAgain) return;
  unreadable_told_at_ = now;
  record_now(LogLevel::kError, "coordination", "", "nothing is decided: what etcd keeps cannot be read: " + problem);
}

// Shows what a leader would decide; does nothing of it.
void ClusterService::look_on(const std::vector<NodeView>& nodes, Now now) {
  controller_.look(nodes, now);
  review_logins(now.instant);
  readiness_.cluster_is(controller_.published_route().node, nodes);
  if (read_only_) read_only_->review(nodes, maintained_nodes(), now.instant);
}

Result<ClusterController::Storing> ClusterService::store_agreed(const ClusterMemory& memory) {
  const auto written = [this, alive = std::weak_ptr<bool>(alive_), memory,
                        tenure = tenure_](const Result<void>& outcome) {
    if (alive.expired() || term_ == 0 || tenure != tenure_) return;  // that controller is gone
    if (outcome) note_stored(memory);
    controller_.stored(outcome, clocks_now());
    if (const auto answer = std::exchange(order_stored_, nullptr)) answer(outcome);
    for (const auto& waiting : std::exchange(waiting_orders_, {})) give_order(waiting.order, false, waiting.answered);
    step_soon();
  };
  agreed_->store(write_memory(config_.name, memory), written);
  return ClusterController::Storing::kUnderWay;
}

void ClusterService::give_order(const OperatorOrder& order, bool preview, OrderAnswered answered) {
  OrderAnswer answer;
  if (agreed_ && term_ == 0) {
    const std::string& leader = agreed_->leader();
    const auto in_the_way = obstacle();
    answer.reason = agreed_->term() != 0 ? "this pgkeel leads, but decides nothing yet" +
                                               (in_the_way ? ": " + in_the_way->why : std::string()) + "; try again"
                    : leader.empty() ? "no pgkeel leads now; try again"
                                     : "pgkeel " + leader + " leads: give the order to that one";
    return answered(std::move(answer));
  }
  if (!preview && controller_.is_storing()) {
    waiting_orders_.push_back({order, std::move(answered)});
    return;
  }
  const Now now = clocks_now();
  const auto nodes = view_nodes(now.instant);
  answer = controller_.give_order(order, preview, nodes, now);
  if (!answer.accepted && !preview) recorder_.refused(order, answer.reason, controller_.memory(), nodes, now);
  if (answer.id != 0 && controller_.is_storing()) {
    order_stored_ = [answer, answered = std::move(answered)](const Result<void>& outcome) mutable {
      if (!outcome) {
        answer = {};
        answer.reason = kNotStored + outcome.error().message;
      }
      answered(std::move(answer));
    };
    return;
  }
  if (answer.id != 0) step_soon();
  answered(std::move(answer));
}

void ClusterService::refuse_orders(const std::string& why) {
  if (const auto answer = std::exchange(order_stored_, nullptr)) answer(Error{why + kMayBeStored});
  for (const auto& waiting : std::exchange(waiting_orders_, {})) {
    OrderAnswer answer;
    answer.reason = why;
    waiting.answered(std::move(answer));
  }
}

void ClusterService::add_agreement(ClusterStatus& status) const {
  status.agreement = agreed_->status();
  const SharedSight sight = sight_of_primary(monotonic_now());
  if (!sight.heard_by.empty()) status.summary = controller_.memory().primary + ": " + sight.suspicion.evidence;
  if (agreed_->serves() || status.route.empty()) return;
  status.condition = condition_name(Condition::kNoRoute);
  status.summary = "this pgkeel may not lead its clients to " + status.route + " now: it waits for its lease";
  status.route.clear();
}

}  // namespace pgkeel
