#include "proxy/app/decision_tally.h"

#include <doctest/doctest.h>

using namespace pgkeel;
using namespace std::chrono_literals;

namespace {

DecisionRecord failover_of_a(std::uint64_t id) {
  DecisionRecord record;
  record.id = id;
  record.from = "a";
  record.outcome = "under way";
  record.evidence = {{"b", "alive", "", {}}, {"a", "dead", "its postmaster ended", {}}};
  record.steps = {{"intent", 5ms}, {"fenced", 15ms}};
  return record;
}

std::uint64_t samples(const DurationHistogram& histogram) {
  std::uint64_t sum = 0;
  for (const auto count : histogram.counts) sum += count;
  return sum;
}

}  // namespace

TEST_CASE("a failover that is kept again and again counts once, when it has ended") {
  DecisionTally tally;
  DecisionRecord record = failover_of_a(7);
  tally.kept(record, record.id);
  CHECK(tally.counts().empty());
  record.steps.push_back({"route open", 65ms});
  tally.kept(record, record.id);
  record.outcome = "done";
  tally.kept(record, record.id);
  tally.kept(record, record.id);
  REQUIRE(tally.counts().size() == 1);
  CHECK(tally.counts()[0].cause == "dead");
  CHECK(tally.counts()[0].result == "done");
  CHECK(tally.counts()[0].count == 1);
  REQUIRE(tally.phases().size() == 3);
  for (const auto& phase : tally.phases()) {
    CAPTURE(phase.phase);
    CHECK(phase.kind == "failover");
    CHECK(samples(phase.durations) == 1);
    if (phase.phase == "route open") CHECK(phase.durations.sum == 50ms);
  }
}

TEST_CASE("causes are few words: the operator, a switchover, or what was known of the primary") {
  DecisionTally tally;
  DecisionRecord ordered = failover_of_a(1);
  ordered.ordered_by = "10.0.0.9:40000";
  ordered.outcome = "failed";
  tally.kept(ordered, ordered.id);
  DecisionRecord planned = failover_of_a(2);
  planned.kind = DecisionRecord::Kind::kSwitchover;
  planned.outcome = "done";
  tally.kept(planned, planned.id);
  DecisionRecord refused = failover_of_a(3);
  refused.kind = DecisionRecord::Kind::kRefusedFailover;
  refused.outcome = "refused";
  tally.kept(refused, refused.id);
  DecisionRecord rejoin = failover_of_a(4);
  rejoin.kind = DecisionRecord::Kind::kRejoin;
  rejoin.outcome = "done";
  tally.kept(rejoin, rejoin.id);
  std::string told;
  for (const auto& change : tally.counts()) told += change.cause + " " + change.result + "\n";
  CHECK(told == "dead refused\noperator failed\nswitchover done\n");
}

TEST_CASE("what an earlier process had measured is not counted") {
  DecisionTally tally;
  DecisionRecord record = failover_of_a(7);
  record.restarted = true;
  tally.kept(record, record.id);
  CHECK(tally.phases().empty());
}

TEST_CASE("durations fall into the bucket of the next greater bound") {
  DurationHistogram histogram;
  for (const Duration duration : {Duration(0ms), Duration(5ms), Duration(6ms), Duration(1h)}) histogram.add(duration);
  CHECK(histogram.counts.front() == 2);
  CHECK(histogram.counts[1] == 1);
  CHECK(histogram.counts.back() == 1);
  CHECK(histogram.sum == 1h + 11ms);
}
