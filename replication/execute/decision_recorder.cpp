#include "replication/execute/decision_recorder.h"

#include <algorithm>
#include <utility>

namespace pgkeel {
namespace {

using namespace std::chrono_literals;

// A reason that is gone sooner was only a step on the way.
constexpr Duration kRefusalLasts = 1s;

std::vector<DecisionRecord::Evidence> evidence_of(const std::vector<NodeView>& nodes, Now now) {
  std::vector<DecisionRecord::Evidence> evidence;
  for (const auto& node : nodes) {
    const Suspicion& suspicion = node.suspicion;
    evidence.push_back(
        {node.name, liveness_name(suspicion.liveness), suspicion.evidence, now.instant - suspicion.since});
  }
  return evidence;
}

std::vector<DecisionRecord::Candidate> candidates_of(const ClusterMemory& memory, const std::vector<NodeView>& nodes) {
  std::vector<DecisionRecord::Candidate> candidates;
  for (const auto& node : nodes) {
    if (node.name == memory.primary || !node.answers_as_standby()) continue;
    candidates.push_back(
        {node.name, node.facts->timeline, node.facts->wal_position, memory.promise.contains(node.name)});
  }
  return candidates;
}

const NodeView* find(const std::vector<NodeView>& nodes, const std::string& name) {
  const auto found = std::ranges::find(nodes, name, &NodeView::name);
  return found == nodes.end() ? nullptr : &*found;
}

const OperatorOrder* failover_order(const ClusterMemory& memory) {
  const auto found = std::ranges::find_if(memory.orders, [](const OperatorOrder& order) {
    return order.kind == OrderKind::kFailover && order.state == OrderState::kRunning;
  });
  return found == memory.orders.end() ? nullptr : &*found;
}

const char* fence_text(FenceStrength strength) {
  switch (strength) {
    case FenceStrength::kNone:
      return "not reached: the route keeps clients away from it, and so does synchronous replication where it is "
             "managed";
    case FenceStrength::kWeak:
      return "weak: by SQL, its sessions were ended and its commits wait for a standby that does not exist";
    case FenceStrength::kProvenStopped:
      return "proven stopped: no process of it is left";
  }
  return "";
}

}  // namespace

void DecisionRecorder::stored(const ClusterMemory& before, const ClusterMemory& after,
                              const std::vector<NodeView>& nodes, const Clients& clients, Now now) {
  if (after.phase == Phase::kFencing && before.phase == Phase::kSteady)
    begin_failover(before, after, nodes, clients, now);
  if (!failover_ || before.phase == after.phase) return;
  if (after.phase == Phase::kPromoting) choose(after, nodes, now);
  if (after.phase == Phase::kFencing && before.phase == Phase::kPromoting) {
    step("candidate abandoned", now);
    failover_->epoch = after.epoch;
  }
  if (after.phase != Phase::kSteady) return;
  failover_->reason += "; " + after.reason;
  const bool promoted = before.phase == Phase::kPromoting && after.primary == failover_->to;
  failover_->outcome = promoted ? "done" : "failed";
  failover_->clients.held = clients.held;
  if (!promoted) end_failover("failed");
}

void DecisionRecorder::begin_failover(const ClusterMemory& before, const ClusterMemory& after,
                                      const std::vector<NodeView>& nodes, const Clients& clients, Now now) {
  if (failover_) end_failover(failover_->outcome);
  DecisionRecord& record = failover_.emplace();
  record.cluster = cluster_;
  record.outcome = "under way";
  record.epoch = after.epoch;
  record.from = before.primary;
  record.reason = after.reason;
  if (const OperatorOrder* order = failover_order(after)) record.ordered_by = order->given_by;
  record.evidence = evidence_of(nodes, now);
  record.fence = fence_text(FenceStrength::kNone);
  const NodeView* primary = find(nodes, before.primary);
  const bool failed = primary != nullptr && primary->suspicion.failed();
  failover_since_ = failed ? primary->suspicion.since : now.instant;
  record.began = now.wall - (now.instant - failover_since_);
  clients_before_ = clients;
  step("intent", now);
}

void DecisionRecorder::choose(const ClusterMemory& memory, const std::vector<NodeView>& nodes, Now now) {
  DecisionRecord& record = *failover_;
  record.to = memory.candidate;
  record.reason += "; " + memory.reason;
  record.candidates = candidates_of(memory, nodes);
  const NodeView* primary = find(nodes, memory.primary);
  const NodeView* candidate = find(nodes, memory.candidate);
  if (primary != nullptr && primary->facts && candidate != nullptr && candidate->facts &&
      primary->facts->timeline == candidate->facts->timeline) {
    const Lsn ahead = primary->facts->wal_position;
    const Lsn behind = candidate->facts->wal_position;
    record.bytes_lacking = ahead > behind ? ahead.value - behind.value : 0;
  }
  const OperatorOrder* order = failover_order(memory);
  const bool loss_accepted = order != nullptr && order->accept_loss;
  record.proven_lossless = memory.promise.contains(memory.candidate) && !loss_accepted;
  step("positions", now);
}

void DecisionRecorder::started(const Action& action, Now now) {
  if (failover_ && action.kind == ActionKind::kPromote && action.node == failover_->to) step("promotion", now);
  if (action.kind != ActionKind::kRejoin) return;
  DecisionRecord record;
  record.cluster = cluster_;
  record.kind = DecisionRecord::Kind::kRejoin;
  record.epoch = action.epoch;
  record.began = now.wall;
  record.from = action.upstream;
  record.to = action.node;
  record.reason = action.rebuild       ? "an operator ordered a rebuild"
                  : action.ordered     ? "an operator ordered it"
                  : action.old_primary ? "it was the primary before"
                                       : "it is no standby of the primary any more";
  rejoins_.insert_or_assign(action.node, Rejoin{std::move(record), now.instant});
}

void DecisionRecorder::finished(const ActionStatus& outcome, Now now) {
  const Action& action = outcome.action;
  if (failover_ && action.kind == ActionKind::kFence && action.node == failover_->from &&
      action.epoch == failover_->epoch && failover_->outcome == "under way") {
    failover_->fence = fence_text(outcome.fence);
    step(outcome.succeeded ? "fenced" : "fence failed", now);
  }
  if (failover_ && action.kind == ActionKind::kPromote && action.node == failover_->to && outcome.succeeded &&
      failover_->outcome == "under way") {
    step("first write", now);
  }
  const auto rejoin = rejoins_.find(action.node);
  if (action.kind != ActionKind::kRejoin || rejoin == rejoins_.end()) return;
  DecisionRecord& record = rejoin->second.record;
  record.outcome = outcome.succeeded ? "done" : "failed";
  record.reason += ": " + outcome.message;
  record.steps.push_back({"finished", now.instant - rejoin->second.since});
  keep(record);
  rejoins_.erase(rejoin);
}

void DecisionRecorder::route_applied(std::uint64_t epoch, const std::string& node, const Clients& clients, Now now) {
  if (!failover_ || epoch != failover_->epoch) return;
  if (node.empty()) return step("closed", now);
  if (node != failover_->to) return;
  step("route open", now);
  auto& ended = failover_->clients;
  ended.ended_idle = clients.ended_idle - clients_before_.ended_idle;
  ended.ended_in_transaction = clients.ended_in_transaction - clients_before_.ended_in_transaction;
  ended.ended_outcome_unknown = clients.ended_outcome_unknown - clients_before_.ended_outcome_unknown;
  keep(*failover_);  // whatever becomes of this process: it is known from here on
}

void DecisionRecorder::decided(const ClusterMemory& memory, const std::vector<NodeView>& nodes,
                               const std::string& refusal, bool normal, Now now) {
  if (failover_ && failover_->outcome == "done" && normal) {
    step("redundant again", now);
    end_failover("done");
  }
  if (refusal != refusal_) {
    refusal_ = refusal;
    refused_since_ = now.instant;
    refusal_kept_ = false;
  }
  if (refusal_.empty() || refusal_kept_ || now.instant - refused_since_ < kRefusalLasts) return;
  refusal_kept_ = true;
  DecisionRecord record;
  record.cluster = cluster_;
  record.kind = DecisionRecord::Kind::kRefusedFailover;
  record.outcome = "refused";
  record.epoch = memory.epoch;
  record.began = now.wall - (now.instant - refused_since_);
  record.from = memory.primary;
  record.reason = refusal_;
  record.evidence = evidence_of(nodes, now);
  record.candidates = candidates_of(memory, nodes);
  keep(record);
}

void DecisionRecorder::end_failover(std::string outcome) {
  failover_->outcome = std::move(outcome);
  keep(*failover_);
  failover_.reset();
}

// Each step counts once: what is repeated came later.
void DecisionRecorder::step(const char* name, Now now) {
  auto& steps = failover_->steps;
  const bool known = std::ranges::find(steps, name, &DecisionRecord::Step::name) != steps.end();
  if (!known) steps.push_back({name, now.instant - failover_since_});
}

}  // namespace pgkeel
