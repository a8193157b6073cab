#include "replication/execute/decision_recorder.h"

#include <algorithm>
#include <utility>

#include "replication/decide/orders.h"
#include "replication/decide/slots_of_others.h"
#include "replication/model/slot_name.h"

namespace pgkeel {
namespace {

using namespace std::chrono_literals;

// A reason that is gone sooner was only a step on the way.
constexpr Duration kRefusalLasts = 1s;
constexpr Duration kCountInterval = 200ms;
constexpr std::size_t kCountsKept = 300;  // a minute: nothing is silent for longer and has not failed

std::vector<DecisionRecord::Evidence> evidence_of(const std::vector<NodeView>& nodes, Now now) {
  std::vector<DecisionRecord::Evidence> evidence;
  for (const auto& node : nodes) {
    const Suspicion& suspicion = node.suspicion;
    evidence.push_back(
        {node.name, liveness_name(suspicion.liveness), suspicion.evidence, now.wall - (now.instant - suspicion.since)});
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
                              const std::vector<NodeView>& nodes, Now now) {
  const bool drains = after.phase == Phase::kDraining && before.phase != Phase::kDraining;
  if (drains && running_order(after, OrderKind::kSwitchover) != nullptr) begin_switchover(before, after, nodes, now);
  if (after.phase == Phase::kFencing && before.phase != Phase::kPromoting && before.phase != Phase::kFencing) {
    if (is_switchover()) {
      failover_->reason += "; " + after.reason;
      end_failover("failed");
    }
    begin_failover(before, after, nodes, now);
  }
  if (!under_way() || before.phase == after.phase) return;
  to_be_kept_ = true;
  if (after.phase == Phase::kStopping) failover_->epoch = after.epoch;
  if (after.phase == Phase::kPromoting) choose(after, nodes, now);
  if (after.phase == Phase::kFencing && before.phase == Phase::kPromoting) {
    step("candidate abandoned", now);
    failover_->epoch = after.epoch;
  }
  if (after.phase != Phase::kSteady) return;
  failover_->reason += "; " + after.reason;
  const bool promoted = before.phase == Phase::kPromoting && after.primary == failover_->to;
  failover_->outcome = promoted ? "done" : "failed";
  failover_->clients.held = ask_clients_().held;
  if (!promoted) end_failover("failed");
}

void DecisionRecorder::begin_failover(const ClusterMemory& before, const ClusterMemory& after,
                                      const std::vector<NodeView>& nodes, Now now) {
  if (open_) end_failover(failover_->outcome);
  DecisionRecord& record = failover_.emplace();
  open_ = true;
  record.cluster = cluster_;
  record.outcome = "under way";
  record.epoch = after.epoch;
  record.from = before.primary;
  record.reason = after.reason;
  if (const OperatorOrder* order = running_order(after, OrderKind::kFailover)) record.ordered_by = order->given_by;
  record.evidence = evidence_of(nodes, now);
  record.fence = fence_text(FenceStrength::kNone);
  const NodeView* primary = find(nodes, before.primary);
  const bool failed = primary != nullptr && primary->suspicion.failed();
  failover_since_ = failed ? primary->suspicion.since : now.instant;
  record.began = now.wall - (now.instant - failover_since_);
  record.decided = now.wall;
  clients_before_ = counted_at(failed ? primary->suspicion.last_heard : now.instant);
  clients_of_earlier_process_ = {};
  step("intent", now);
}

void DecisionRecorder::begin_switchover(const ClusterMemory& before, const ClusterMemory& after,
                                        const std::vector<NodeView>& nodes, Now now) {
  if (open_) end_failover(failover_->outcome);
  DecisionRecord& record = failover_.emplace();
  open_ = true;
  record.cluster = cluster_;
  record.kind = DecisionRecord::Kind::kSwitchover;
  record.outcome = "under way";
  record.epoch = after.epoch;
  record.from = before.primary;
  record.to = after.candidate;
  record.reason = after.reason;
  if (const OperatorOrder* order = running_order(after, OrderKind::kSwitchover)) record.ordered_by = order->given_by;
  record.evidence = evidence_of(nodes, now);
  record.fence = "not shut down yet";
  failover_since_ = now.instant;
  record.began = record.decided = now.wall;
  clients_before_ = ask_clients_();
  clients_of_earlier_process_ = {};
  step("drain", now);
}

void DecisionRecorder::choose(const ClusterMemory& memory, const std::vector<NodeView>& nodes, Now now) {
  DecisionRecord& record = *failover_;
  record.to = memory.candidate;
  record.reason += "; " + memory.reason;
  record.candidates = candidates_of(memory, nodes);
  if (is_switchover()) {  // it was chosen because it has all
    record.wal.bytes_lacking = 0;
    record.wal.as_of = now.wall;
    record.wal.proven_lossless = true;
    return step("all WAL received", now);
  }
  const NodeView* primary = find(nodes, memory.primary);
  const NodeView* candidate = find(nodes, memory.candidate);
  if (primary != nullptr && primary->facts && candidate != nullptr && candidate->facts &&
      primary->facts->timeline == candidate->facts->timeline) {
    const Lsn ahead = primary->facts->wal_position;
    const Lsn behind = candidate->facts->wal_position;
    record.wal.bytes_lacking = ahead > behind ? ahead.value - behind.value : 0;
    record.wal.as_of = now.wall - (now.instant - primary->facts_at);
  }
  const OperatorOrder* order = running_order(memory, OrderKind::kFailover);
  const bool loss_accepted = order != nullptr && order->accept_loss;
  record.wal.proven_lossless = memory.promise.contains(memory.candidate) && !loss_accepted;
  step("positions", now);
}

void DecisionRecorder::started(const Action& action, Now now) {
  if (under_way() && action.kind == ActionKind::kPromote && action.node == failover_->to) step("promotion", now);
  if (action.kind != ActionKind::kRejoin) return;
  DecisionRecord record;
  record.cluster = cluster_;
  record.kind = DecisionRecord::Kind::kRejoin;
  record.outcome = "under way";
  record.epoch = action.epoch;
  record.began = record.decided = now.wall;
  record.from = action.upstream;
  record.to = action.node;
  record.reason = action.provision     ? "an operator ordered an empty host to be filled"
                  : action.rebuild     ? "an operator ordered a rebuild"
                  : action.ordered     ? "an operator ordered it"
                  : action.old_primary ? "it was the primary before"
                                       : "it is no standby of the primary any more";
  keep(record);
  rejoins_.insert_or_assign(action.node, Rejoin{std::move(record), now.instant});
}

void DecisionRecorder::finished(const ActionStatus& outcome, Now now) {
  const Action& action = outcome.action;
  if (under_way() && action.kind == ActionKind::kFence && action.node == failover_->from &&
      action.epoch == failover_->epoch) {
    failover_->fence = fence_text(outcome.fence);
    step(outcome.succeeded ? "fenced" : "fence failed", now);
  }
  if (is_switchover() && action.kind == ActionKind::kStopServer && action.epoch == failover_->epoch) {
    failover_->fence = (outcome.succeeded ? "" : "not shut down: ") + outcome.message;
    if (outcome.succeeded) step("shut down", now);
  }
  if (under_way() && action.kind == ActionKind::kPromote && action.node == failover_->to && outcome.succeeded)
    step("first write", now);
  const auto rejoin = rejoins_.find(action.node);
  if (action.kind != ActionKind::kRejoin || rejoin == rejoins_.end()) return;
  DecisionRecord& record = rejoin->second.record;
  record.outcome = outcome.succeeded ? "done" : "failed";
  record.reason += ": " + outcome.message;
  record.steps.push_back({"finished", now.instant - rejoin->second.since});
  keep(record);
  rejoins_.erase(rejoin);
  if (!failover_ || failover_->from != action.node || failover_->epoch != action.epoch || !outcome.had_more_wal) return;
  failover_->wal.old_primary_had_more = outcome.had_more_wal;
  keep_failover();
}

void DecisionRecorder::route_drained(Now now) {
  if (is_switchover()) step("drained", now);
}

void DecisionRecorder::route_applied(std::uint64_t epoch, const std::string& node, Now now) {
  if (!open_ || epoch != failover_->epoch) return;
  if (node.empty()) return step("closed", now);
  if (node != failover_->to) return;
  step("route open", now);
  keep_failover();
}

void DecisionRecorder::decided(const ClusterMemory& memory, const std::vector<NodeView>& nodes,
                               const std::string& refusal, bool normal, Now now) {
  const bool time_to_count = counted_.empty() || now.instant - counted_.back().first >= kCountInterval;
  if (!under_way() && time_to_count) {
    counted_.emplace_back(now.instant, ask_clients_());
    if (counted_.size() > kCountsKept) counted_.pop_front();
  }
  if (open_ && failover_->outcome == "done") {
    const auto released = failover_->clients.released;
    if (released < failover_->clients.held) count_clients();
    if (failover_->clients.released != released) to_be_kept_ = true;
    look_beside_rows(memory, nodes, now);
    if (normal && failover_->beside_rows) {
      step(kLastStep, now);
      end_failover("done");
    }
  }
  if (to_be_kept_) keep_failover();
  if (refusal != refusal_) {
    refusal_ = refusal;
    refused_since_ = now.instant;
    refusal_kept_ = false;
  }
  if (refusal_.empty() || refusal_kept_ || now.instant - refused_since_ < kRefusalLasts) return;
  refusal_kept_ = true;
  keep_refusal(memory, nodes, refusal_, "", now.wall - (now.instant - refused_since_), now);
}

// As soon as the controller has compared the new primary with the old one.
void DecisionRecorder::look_beside_rows(const ClusterMemory& memory, const std::vector<NodeView>& nodes, Now now) {
  const NodeView* primary = find(nodes, failover_->to);
  const bool compared = memory.primary == failover_->to && memory.logical_slots.primary == failover_->to;
  if (failover_->beside_rows || !compared || primary == nullptr || !primary->answers_as_primary()) return;
  DecisionRecord::BesideRows& beside = failover_->beside_rows.emplace();
  beside.prepared_transactions = primary->facts->prepared_transactions;
  for (const auto& slot : primary->facts->slots) {
    if (!slot.name.starts_with(kSlotPrefix)) beside.physical_slots.push_back(slot.name);
  }
  for (const auto& kept : memory.kept_slots) {
    if (kept.node == failover_->to) beside.physical_slots_anew.push_back(kept.slot);
  }
  for (const auto& slot : primary->facts->logical_slots) {
    if (slot.synced && !slot.lost) beside.logical_slots.push_back(slot.name);
  }
  for (const auto& left : memory.left_slots) beside.left.push_back(describe(left, failover_->to));
  step("asked what came along", now);
  to_be_kept_ = true;
}

void DecisionRecorder::refused(const OperatorOrder& order, const std::string& why, const ClusterMemory& memory,
                               const std::vector<NodeView>& nodes, Now now) {
  if (order.kind != OrderKind::kFailover) return;
  keep_refusal(memory, nodes, why, order.given_by, now.wall, now);
}

void DecisionRecorder::keep_refusal(const ClusterMemory& memory, const std::vector<NodeView>& nodes, std::string reason,
                                    std::string ordered_by, WallTime began, Now now) {
  DecisionRecord record;
  record.cluster = cluster_;
  record.kind = DecisionRecord::Kind::kRefusedFailover;
  record.outcome = "refused";
  record.epoch = memory.epoch;
  record.began = began;
  record.decided = now.wall;
  record.from = memory.primary;
  record.reason = std::move(reason);
  record.ordered_by = std::move(ordered_by);
  record.evidence = evidence_of(nodes, now);
  record.candidates = candidates_of(memory, nodes);
  keep(record);
}

void DecisionRecorder::found_lost(const std::string& node, const std::string& report, std::uint64_t transactions,
                                  std::uint64_t bytes) {
  if (!failover_ || failover_->from != node) return;
  failover_->wal.lost_report = report;
  failover_->wal.lost_transactions = transactions;
  failover_->wal.lost_bytes = bytes;
  keep_failover();
}

void DecisionRecorder::end_failover(std::string outcome) {
  failover_->outcome = std::move(outcome);
  keep_failover();
  open_ = false;
}

void DecisionRecorder::keep_failover() {
  if (open_) count_clients();
  keep(*failover_);
  to_be_kept_ = false;
}

// When the primary was heard last, say: whoever was ended since was ended by its failure.
DecisionRecorder::Clients DecisionRecorder::counted_at(Instant when) const {
  Clients clients = counted_.empty() ? ask_clients_() : counted_.front().second;
  for (const auto& [counted_when, counted] : counted_) {
    if (counted_when <= when) clients = counted;
  }
  return clients;
}

void DecisionRecorder::count_clients() {
  const Clients so_far = ask_clients_();
  auto& clients = failover_->clients;
  const auto count = [&](std::uint64_t Clients::*counter) {
    clients.*counter = clients_of_earlier_process_.*counter + so_far.*counter - clients_before_.*counter;
  };
  for (const auto counter : {&Clients::ended_idle, &Clients::ended_in_transaction, &Clients::ended_busy,
                             &Clients::ended_in_commit, &Clients::released}) {
    count(counter);
  }
}

// Each step counts once: what is repeated came later.
void DecisionRecorder::step(const char* name, Now now) {
  auto& steps = failover_->steps;
  const bool known = std::ranges::find(steps, name, &DecisionRecord::Step::name) != steps.end();
  if (!known) steps.push_back({name, now.instant - failover_since_});
}

}  // namespace pgkeel
