#include "proxy/app/decision_tally.h"

#include <algorithm>

namespace pgkeel {
namespace {

constexpr std::size_t kRecordsFollowed = 64;

// What is told before it happens for the first time: a rate is made of two numbers.
constexpr std::pair<const char*, const char*> kUsual[] = {
    {"dead", "done"},         {"dead", "failed"},    {"dead", "refused"},    {"silent", "done"},
    {"silent", "failed"},     {"silent", "refused"}, {"stuck", "done"},      {"stuck", "failed"},
    {"stuck", "refused"},     {"operator", "done"},  {"operator", "failed"}, {"switchover", "done"},
    {"switchover", "failed"},
};

// Few words, as labels want them: who wanted it, else what the failure detector said of the primary.
std::string cause_of(const DecisionRecord& record) {
  if (record.kind == DecisionRecord::Kind::kSwitchover) return "switchover";
  if (!record.ordered_by.empty()) return "operator";
  const auto primary = std::ranges::find(record.evidence, record.from, &DecisionRecord::Evidence::node);
  return primary == record.evidence.end() ? "unknown" : primary->liveness;
}

bool counts_here(DecisionRecord::Kind kind) {
  return changes_primary(kind) || kind == DecisionRecord::Kind::kRefusedFailover;
}

}  // namespace

std::uint64_t DecisionTally::kept(const DecisionRecord& record, std::uint64_t id) {
  if (!counts_here(record.kind)) return id;
  Seen& seen = seen_[id];
  // What an earlier process measured is not this one's, and its steps are not comparable.
  if (record.restarted) seen.steps = record.steps.size();
  for (; seen.steps < record.steps.size(); ++seen.steps) {
    const auto& step = record.steps[seen.steps];
    const Duration before = seen.steps == 0 ? Duration::zero() : record.steps[seen.steps - 1].after;
    phases_[{decision_kind_name(record.kind), step.name}].add(step.after - before);
  }
  if (!seen.result && record.outcome != "under way") {
    seen.result = true;
    ++counts_[{cause_of(record), record.outcome}];
  }
  if (seen_.size() > kRecordsFollowed) seen_.erase(seen_.begin());
  return id;
}

void DecisionTally::add_to(ClusterStatus& status) const {
  status.changes = counts();
  for (const auto& [cause, result] : kUsual) {
    if (!counts_.contains({cause, result})) status.changes.push_back({cause, result, 0});
  }
  status.phases = phases();
}

std::vector<ChangeCount> DecisionTally::counts() const {
  std::vector<ChangeCount> counts;
  for (const auto& [key, count] : counts_) counts.push_back({key.first, key.second, count});
  return counts;
}

std::vector<PhaseDurations> DecisionTally::phases() const {
  std::vector<PhaseDurations> phases;
  for (const auto& [key, durations] : phases_) phases.push_back({key.first, key.second, durations});
  return phases;
}

}  // namespace pgkeel
