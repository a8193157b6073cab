#include <doctest/doctest.h>

#include "tests/unit/replication/failover_story.h"

using namespace pgkeel;
using namespace pgkeel::test;

TEST_CASE("a failover that pgkeel did not live to see is gone on with after its restart") {
  Story before;
  before.memory.promise = {{"b"}, 1};
  before.begin();
  SUBCASE("killed while it fenced") {
    Story after;
    after.records = 1;
    after.memory = before.memory;
    after.recorder.resume({before.kept.back()}, after.memory, Story::now(5s));
    after.choose();
    after.promoted();
    after.recorder.route_applied(4, "b", Story::now(6s));
    const DecisionRecord& record = after.kept.back();
    CHECK(record.id == 1);
    CHECK(record.restarted);
    CHECK(record.outcome == "done");
    CHECK(record.to == "b");
    CHECK(record.evidence.size() == 3);
    CHECK(after.step("intent") == 20ms);
    CHECK(after.step("pgkeel started again") == 5020ms);
    CHECK(after.step("route open") == 6020ms);
  }
  SUBCASE("killed while it promoted; what was counted before is not lost") {
    before.choose();
    before.kept.back().clients.ended_idle = 3;
    Story after;
    after.records = 1;
    after.memory = before.memory;
    after.recorder.resume({before.kept.back()}, after.memory, Story::now(5s));
    after.clients.ended_idle += 2;
    after.promoted();
    after.recorder.route_applied(4, "b", Story::now(6s));
    CHECK(after.kept.back().outcome == "done");
    CHECK(after.kept.back().wal.proven_lossless);
    CHECK(after.kept.back().clients.ended_idle == 5);
  }
  SUBCASE("killed when it was done, but not yet written") {
    before.choose();
    const DecisionRecord promoting = before.kept.back();
    before.promoted();
    Story after;
    after.memory = before.memory;
    after.recorder.resume({promoting}, after.memory, Story::now(5s));
    after.asked_after_the_promotion();
    after.decide(6s, true);
    CHECK(after.kept.back().outcome == "done");
    CHECK(after.step("redundant again") == 6020ms);
  }
  SUBCASE("it ended with the old primary") {
    Story after;
    after.memory = before.memory;
    after.memory.phase = Phase::kSteady;
    after.memory.reason = "a is back, and nobody could replace it";
    after.recorder.resume({before.kept.back()}, after.memory, Story::now(5s));
    REQUIRE(after.kept.size() == 1);
    CHECK(after.kept[0].outcome == "failed");
    CHECK(after.kept[0].reason.ends_with("a is back, and nobody could replace it"));
  }
  SUBCASE("of which nothing was kept but the memory") {
    before.choose();
    Story after;
    after.memory = before.memory;
    after.recorder.resume({}, after.memory, Story::now(5s));
    after.decide(5s);
    REQUIRE(after.kept.size() == 1);
    CHECK(after.kept[0].restarted);
    CHECK(after.kept[0].from == "a");
    CHECK(after.kept[0].to == "b");
    CHECK(after.kept[0].epoch == 4);
    after.promoted();
    CHECK(after.kept.back().outcome == "done");
  }
}

TEST_CASE("a rejoin that pgkeel did not live to see is ended after its restart") {
  Story before;
  Action action;
  action.kind = ActionKind::kRejoin;
  action.node = "b";
  before.recorder.started(action, Story::now(0ms));
  Story after;
  after.recorder.resume({before.kept.back()}, after.memory, Story::now(5s));
  REQUIRE(after.kept.size() == 1);
  CHECK(after.kept[0].id == 1);
  CHECK(after.kept[0].outcome == "failed");
  CHECK(after.kept[0].restarted);
}

namespace {

// As it is when the switchover from a to b is in this phase.
ClusterMemory switching_over(Phase phase, std::uint64_t epoch) {
  ClusterMemory memory;
  memory.phase = phase;
  memory.epoch = epoch;
  memory.primary = "a";
  memory.candidate = phase == Phase::kReturning ? "" : "b";
  memory.reason = phase_name(phase);
  OperatorOrder order;
  order.id = 1;
  order.kind = OrderKind::kSwitchover;
  order.given_by = "127.0.0.1:4242";
  order.carried_out = true;
  memory.orders.push_back(order);
  return memory;
}

void check_goes_on(Story& after) {
  after.store(switching_over(Phase::kStopping, 4), 6s);
  after.store(switching_over(Phase::kPromoting, 4), 7s);
  after.promoted();
  after.recorder.route_applied(4, "b", Story::now(8s));
  const DecisionRecord& record = after.kept.back();
  CHECK(record.id == 1);
  CHECK(record.kind == DecisionRecord::Kind::kSwitchover);
  CHECK(record.restarted);
  CHECK(record.outcome == "done");
  CHECK(record.to == "b");
  CHECK(record.ordered_by == "127.0.0.1:4242");
  CHECK(record.wal.proven_lossless);
  CHECK(after.step("pgkeel started again") >= 0ms);
  CHECK(after.step("route open") >= 0ms);
}

}  // namespace

TEST_CASE("a switchover that pgkeel did not live to see is gone on with after its restart") {
  Story before;
  before.store(switching_over(Phase::kDraining, 3), 0ms);
  const DecisionRecord draining = before.kept.back();
  Story after;
  after.records = 1;
  SUBCASE("killed while it drained") {
    after.memory = before.memory;
    after.recorder.resume({draining}, after.memory, Story::now(5s));
    check_goes_on(after);
  }
  SUBCASE("killed while it stopped the primary") {
    before.store(switching_over(Phase::kStopping, 4), 1s);
    after.memory = before.memory;
    after.recorder.resume({before.kept.back()}, after.memory, Story::now(5s));
    check_goes_on(after);
    CHECK(after.step("drain") == 0ms);
  }
  SUBCASE("killed when the next step was stored, but not yet written") {
    after.memory = switching_over(Phase::kStopping, 4);
    after.recorder.resume({draining}, after.memory, Story::now(5s));
    check_goes_on(after);
  }
  SUBCASE("killed before anything was written of it") {
    after.records = 0;
    after.memory = before.memory;
    after.recorder.resume({}, after.memory, Story::now(5s));
    check_goes_on(after);
  }
  SUBCASE("killed on the way back, which ends it as failed") {
    before.store(switching_over(Phase::kStopping, 4), 1s);
    after.memory = switching_over(Phase::kReturning, 4);
    after.recorder.resume({before.kept.back()}, after.memory, Story::now(5s));
    ClusterMemory back = after.memory;
    back.phase = Phase::kSteady;
    after.store(back, 6s);
    CHECK(after.kept.back().id == 1);
    CHECK(after.kept.back().outcome == "failed");
  }
  SUBCASE("it was given up meanwhile") {
    after.memory.reason = "the switchover to b is given up";
    after.recorder.resume({draining}, after.memory, Story::now(5s));
    CHECK(after.kept.back().outcome == "failed");
    CHECK(after.kept.back().reason.find("is given up") != std::string::npos);
  }
  SUBCASE("the primary failed meanwhile, and what goes on is a failover") {
    after.memory = switching_over(Phase::kFencing, 5);
    after.memory.orders.clear();
    after.recorder.resume({draining}, after.memory, Story::now(5s));
    REQUIRE(after.kept.size() == 1);
    CHECK(after.kept.front().outcome == "failed");
    after.decide(6s);
    CHECK(after.kept.back().kind == DecisionRecord::Kind::kFailover);
    CHECK(after.kept.back().id == 2);
  }
}
