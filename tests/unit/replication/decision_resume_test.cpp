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
