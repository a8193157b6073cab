// What DecisionRecorder does after a start of pgkeel, about the records that an earlier one had not finished.
#include <algorithm>
#include <utility>

#include "replication/decide/orders.h"
#include "replication/execute/decision_recorder.h"

namespace pgkeel {
namespace {

bool is_step_of_switchover(const ClusterMemory& memory) {
  const bool before_promotion = memory.phase == Phase::kDraining || memory.phase == Phase::kStopping ||
                                memory.phase == Phase::kReturning || memory.phase == Phase::kPromoting;
  return before_promotion && running_order(memory, OrderKind::kSwitchover) != nullptr;
}

// The memory is of the same change of primary as the record, which may be one step behind: it is kept after the memory.
bool is_newest(const DecisionRecord& record, const ClusterMemory& memory) {
  if (record.epoch == memory.epoch) return true;
  return record.kind == DecisionRecord::Kind::kSwitchover && is_step_of_switchover(memory) &&
         record.from == memory.primary && record.epoch + 1 == memory.epoch;
}

}  // namespace

void DecisionRecorder::resume(const std::vector<DecisionRecord>& unfinished, const ClusterMemory& memory, Now now) {
  const bool steady = memory.phase == Phase::kSteady;
  for (DecisionRecord record : unfinished) {
    record.restarted = true;
    if (!changes_primary(record.kind)) {
      record.outcome = "failed";
      record.reason += "; cut off: pgkeel ended meanwhile; what is still needed is begun anew";
      keep(record);
      continue;
    }
    const bool goes_on = is_newest(record, memory);
    if (goes_on) record.epoch = memory.epoch;
    if (goes_on && memory.phase == Phase::kPromoting) record.to = memory.candidate;
    if (record.outcome == "under way" && goes_on && steady && memory.primary != record.from) {
      record.to = memory.primary;
      record.outcome = "done";
    }
    if (goes_on && (record.outcome == "done") == steady) {
      go_on_with(std::move(record), now);
    } else if (record.outcome == "under way") {
      record.outcome = "failed";
      record.reason += "; pgkeel ended meanwhile; " + memory.reason;
      keep(record);
    }
  }
  const bool is_switchover = is_step_of_switchover(memory);
  const bool changes = is_switchover || memory.phase == Phase::kFencing || memory.phase == Phase::kPromoting;
  if (open_ || !changes) return;
  DecisionRecord record;  // of which an earlier process kept nothing but its memory
  record.cluster = cluster_;
  if (is_switchover) record.kind = DecisionRecord::Kind::kSwitchover;
  record.outcome = "under way";
  record.epoch = memory.epoch;
  record.began = record.decided = now.wall;
  record.from = memory.primary;
  record.to = memory.candidate;
  record.reason = memory.reason;
  const OperatorOrder* order =
      is_switchover ? running_order(memory, OrderKind::kSwitchover) : running_order(memory, OrderKind::kFailover);
  if (order != nullptr) record.ordered_by = order->given_by;
  record.restarted = true;
  record.fence = "not known: pgkeel was started again meanwhile";
  go_on_with(std::move(record), now);
}

void DecisionRecorder::go_on_with(DecisionRecord record, Now now) {
  // By the wall clock: it may have been set meanwhile.
  failover_since_ = now.instant - std::max<Duration>(now.wall - record.began, Duration::zero());
  clients_of_earlier_process_ = record.clients;
  clients_before_ = ask_clients_();
  failover_ = std::move(record);
  open_ = to_be_kept_ = true;
  step("pgkeel started again", now);
}

}  // namespace pgkeel
