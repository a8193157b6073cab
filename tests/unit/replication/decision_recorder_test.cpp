#include <doctest/doctest.h>

#include "tests/unit/replication/failover_story.h"

using namespace pgkeel;
using namespace pgkeel::test;

TEST_CASE("a failover is recorded with its evidence, candidates, steps, fence, WAL and clients") {
  Story story;
  story.memory.promise = {{"b"}, 1};
  story.nodes[0].suspicion.last_heard = Story::now(-300ms).instant;
  story.nodes[0].facts_at = Story::now(-400ms).instant;
  story.decide(-500ms);
  // They ended with their server, before pgkeel knew why.
  story.clients.ended_busy += 3;
  story.decide(-10ms);
  story.begin();
  REQUIRE(story.kept.size() == 1);  // whatever becomes of this process: it is known from here on
  CHECK(story.kept[0].outcome == "under way");
  story.clients.ended_idle += 1;
  story.clients.ended_in_transaction += 2;
  story.clients.ended_in_commit += 4;
  story.recorder.route_applied(4, "", Story::now(2ms));
  auto fence = story.outcome(ActionKind::kFence, "a", true);
  fence.fence = FenceStrength::kProvenStopped;
  story.recorder.finished(fence, Story::now(10ms));
  story.choose();
  story.recorder.started(story.outcome(ActionKind::kPromote, "b", true).action, Story::now(13ms));
  story.recorder.finished(story.outcome(ActionKind::kPromote, "b", true), Story::now(50ms));
  story.promoted();
  story.recorder.route_applied(4, "b", Story::now(52ms));
  CHECK(story.kept.back().clients.held == 5);
  story.clients.held = 0;
  story.clients.released += 4;
  story.decide(60ms);
  CHECK_FALSE(story.kept.back().beside_rows.has_value());
  story.asked_after_the_promotion();
  story.decide(2s, true);

  const DecisionRecord& record = story.kept.back();
  CHECK(record.id == 1);  // the first one, made whole
  CHECK(record.outcome == "done");
  CHECK_FALSE(record.restarted);
  CHECK(record.epoch == 4);
  CHECK(record.from == "a");
  CHECK(record.to == "b");
  CHECK(record.began == Story::now(-20ms).wall);
  CHECK(record.decided == Story::now(0ms).wall);
  REQUIRE(record.evidence.size() == 3);
  CHECK(record.evidence[0].text == "postmaster 12 has ended");
  CHECK(record.evidence[0].since == Story::now(-20ms).wall);
  REQUIRE(record.candidates.size() == 2);
  CHECK(record.candidates[0].safe);
  CHECK_FALSE(record.candidates[1].safe);
  CHECK(record.fence.starts_with("proven stopped"));
  CHECK(record.wal.bytes_lacking == 0x100);
  CHECK(record.wal.as_of == Story::now(-400ms).wall);
  CHECK(record.wal.proven_lossless);
  CHECK(record.clients.ended_idle == 1);
  CHECK(record.clients.ended_in_transaction == 2);
  CHECK(record.clients.ended_busy == 3);
  CHECK(record.clients.ended_in_commit == 4);
  CHECK(record.clients.held == 5);
  CHECK(record.clients.released == 4);
  CHECK(story.step("intent") == 20ms);
  CHECK(story.step("closed") == 22ms);
  CHECK(story.step("fenced") == 30ms);
  CHECK(story.step("positions") == 32ms);
  CHECK(story.step("promotion") == 33ms);
  CHECK(story.step("first write") == 70ms);
  CHECK(story.step("route open") == 72ms);
  CHECK(story.step("redundant again") == 2020ms);
  const auto written = story.kept.size();
  story.decide(3s, true);
  CHECK(story.kept.size() == written);
}

TEST_CASE("a failover's record tells what came along beside rows, and what did not") {
  Story story;
  story.begin();
  story.choose();
  story.promoted();
  change_facts(story.nodes[1], [](NodeFacts& facts) {
    facts.prepared_transactions = 2;
    facts.slots = {{.name = "pgkeel_a", .active_pid = {}, .restart_lsn = {}, .wal_status = ""},
                   {.name = "barman", .active_pid = {}, .restart_lsn = {}, .wal_status = ""}};
    facts.logical_slots = {
        {.name = "seventeen", .database = "", .plugin = "", .confirmed_flush = {}, .lost = false, .synced = true},
        {.name = "other", .database = "", .plugin = "", .confirmed_flush = {}, .lost = false, .synced = false}};
  });
  story.memory.kept_slots = {{"b", "new"}, {"a", "barman"}};
  story.memory.left_slots.push_back({.slot = {"changes", "app", "pgoutput"},
                                     .old_primary = "a",
                                     .confirmed_flush = {},
                                     .is_other = false,
                                     .since = {}});
  story.asked_after_the_promotion();
  story.decide(100ms);
  const auto& beside = story.kept.back().beside_rows;
  REQUIRE(beside.has_value());
  CHECK(beside->prepared_transactions == 2);
  CHECK(beside->physical_slots == std::vector<std::string>{"barman"});
  CHECK(beside->physical_slots_anew == std::vector<std::string>{"new"});
  CHECK(beside->logical_slots == std::vector<std::string>{"seventeen"});
  REQUIRE(beside->left.size() == 1);
  CHECK(beside->left[0].starts_with("logical slot changes (database app, pgoutput) of a is not on b"));
}

TEST_CASE("what the old primary alone had is known when it is a standby again, and is added") {
  for (const bool had_more : {false, true}) {
    CAPTURE(had_more);
    Story story;
    story.begin();
    story.choose();
    story.promoted();
    story.asked_after_the_promotion();
    CHECK_FALSE(story.kept.back().wal.old_primary_had_more.has_value());
    auto rejoin = story.outcome(ActionKind::kRejoin, "a", true);
    rejoin.had_more_wal = had_more;
    story.recorder.started(rejoin.action, Story::now(1s));
    story.recorder.finished(rejoin, Story::now(2s));
    CHECK(story.kept.back().id == 1);
    CHECK(story.kept.back().wal.old_primary_had_more == had_more);
    story.decide(3s, true);
    if (!had_more) continue;
    story.recorder.found_lost("b", "b-1", 1, 1);  // of another node
    story.recorder.found_lost("a", "a-1", 7, 4096);
    CHECK(story.kept.back().id == 1);
    CHECK(story.kept.back().wal.lost_report == "a-1");
    CHECK(story.kept.back().wal.lost_transactions == 7);
    CHECK(story.kept.back().wal.lost_bytes == 4096);
    CHECK(story.kept.back().outcome == "done");
  }
}

TEST_CASE("a failover that ends with the old primary is recorded as failed") {
  Story story;
  story.begin();
  ClusterMemory next = story.memory;
  next.phase = Phase::kSteady;
  next.reason = "a is back, and nobody could replace it";
  story.store(next, 1s);
  const auto written = story.kept.size();
  CHECK(story.kept.back().id == 1);
  CHECK(story.kept.back().outcome == "failed");
  CHECK(story.kept.back().reason == "a failed; a is back, and nobody could replace it");
  CHECK(story.kept.back().fence.starts_with("not reached"));
  story.decide(2s, true);
  CHECK(story.kept.size() == written);
}

TEST_CASE("an operator's failover says who ordered it, and promises nothing where a loss is accepted") {
  Story story;
  story.memory.promise = {{"b"}, 1};
  OperatorOrder order;
  order.given_by = "127.0.0.1:4242";
  order.accept_loss = true;
  story.memory.orders = {order};
  story.begin("an operator ordered a failover");
  story.choose();
  story.promoted();
  story.recorder.route_applied(4, "b", Story::now(52ms));
  CHECK(story.kept.back().ordered_by == "127.0.0.1:4242");
  CHECK_FALSE(story.kept.back().wal.proven_lossless);
}

TEST_CASE("an order that is refused is recorded, where it is one of a failover") {
  Story story;
  OperatorOrder order;
  order.given_by = "127.0.0.1:4242";
  story.recorder.refused(order, "b is not safe", story.memory, story.nodes, Story::now(0ms));
  order.kind = OrderKind::kRejoin;
  story.recorder.refused(order, "b is healthy", story.memory, story.nodes, Story::now(0ms));
  REQUIRE(story.kept.size() == 1);
  CHECK(story.kept[0].kind == DecisionRecord::Kind::kRefusedFailover);
  CHECK(story.kept[0].ordered_by == "127.0.0.1:4242");
  CHECK(story.kept[0].reason == "b is not safe");
}

TEST_CASE("a refused failover is recorded once for each reason that lasts") {
  Story story;
  const auto decide = [&](const std::string& refusal, Duration when) { story.decide(when, false, refusal); };
  decide("b has not answered since a failed", 0ms);
  decide("failover is manual", 500ms);
  decide("failover is manual", 1400ms);
  CHECK(story.kept.empty());
  decide("failover is manual", 1500ms);
  decide("failover is manual", 5s);
  REQUIRE(story.kept.size() == 1);
  CHECK(story.kept[0].kind == DecisionRecord::Kind::kRefusedFailover);
  CHECK(story.kept[0].outcome == "refused");
  CHECK(story.kept[0].reason == "failover is manual");
  CHECK(story.kept[0].began == Story::now(500ms).wall);
  CHECK(story.kept[0].candidates.size() == 2);
  decide("", 6s);
  decide("failover is manual", 7s);
  decide("failover is manual", 8s);
  CHECK(story.kept.size() == 2);
}

TEST_CASE("a rejoin is recorded when it starts, and with how it went and how long it took") {
  Story story;
  Action action;
  action.kind = ActionKind::kRejoin;
  action.node = "b";
  action.upstream = "a";
  action.old_primary = true;
  story.recorder.started(action, Story::now(0ms));
  REQUIRE(story.kept.size() == 1);
  CHECK(story.kept[0].outcome == "under way");
  ActionStatus status;
  status.action = action;
  status.message = "no space left";
  story.recorder.finished(status, Story::now(1500ms));
  REQUIRE(story.kept.size() == 2);
  CHECK(story.kept[1].id == story.kept[0].id);
  CHECK(story.kept[1].kind == DecisionRecord::Kind::kRejoin);
  CHECK(story.kept[1].outcome == "failed");
  CHECK(story.kept[1].reason == "it was the primary before: no space left");
  CHECK(story.step("finished") == 1500ms);
}
