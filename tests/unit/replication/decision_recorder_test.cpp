#include "replication/execute/decision_recorder.h"

#include <algorithm>

#include <doctest/doctest.h>

using namespace pgkeel;
using namespace std::chrono_literals;

namespace {

// a failed 20 ms ago, b and c are its standbys; times are given from the intent on.
struct Story {
  Story() {
    nodes = {node("a", false, 0x5000), node("b", true, 0x4F00), node("c", true, 0x4000)};
    nodes[0].suspicion.liveness = Liveness::kDead;
    nodes[0].suspicion.since = now(-20ms).instant;
    nodes[0].suspicion.evidence = "postmaster 12 has ended";
    memory.phase = Phase::kSteady;
    memory.epoch = 3;
    memory.primary = "a";
  }

  static NodeView node(const std::string& name, bool in_recovery, std::uint64_t wal) {
    NodeView view;
    view.name = name;
    view.suspicion.liveness = Liveness::kAlive;
    view.facts.emplace();
    view.facts->in_recovery = in_recovery;
    view.facts->timeline = 1;
    view.facts->wal_position = Lsn{wal};
    return view;
  }

  static Now now(Duration after) { return {Instant(1h) + after, WallTime(1'700'000'000s) + after}; }

  void store(ClusterMemory next, Duration after, DecisionRecord::Clients clients = {}) {
    recorder.stored(memory, next, nodes, clients, now(after));
    memory = std::move(next);
  }

  void begin(const std::string& reason = "a failed") {
    ClusterMemory next = memory;
    next.phase = Phase::kFencing;
    next.epoch += 1;
    next.reason = reason;
    store(next, 0ms, {.ended_idle = 10, .ended_in_transaction = 20, .ended_outcome_unknown = 30, .held = 0});
  }
  void choose() {
    ClusterMemory next = memory;
    next.phase = Phase::kPromoting;
    next.candidate = "b";
    next.reason = "b has the most WAL";
    store(next, 12ms);
  }
  void promoted() {
    ClusterMemory next = memory;
    next.phase = Phase::kSteady;
    next.primary = "b";
    next.candidate.clear();
    next.reason = "b is promoted and takes writes";
    store(next, 51ms, {.ended_idle = 0, .ended_in_transaction = 0, .ended_outcome_unknown = 0, .held = 5});
  }

  ActionStatus outcome(ActionKind kind, const std::string& node, bool succeeded) const {
    ActionStatus status;
    status.action.kind = kind;
    status.action.node = node;
    status.action.epoch = memory.epoch;
    status.succeeded = succeeded;
    return status;
  }

  [[nodiscard]] Duration step(const std::string& name) const {
    const auto& steps = kept.back().steps;
    const auto found = std::ranges::find(steps, name, &DecisionRecord::Step::name);
    return found == steps.end() ? -1ms : found->after;
  }

  std::vector<NodeView> nodes;
  ClusterMemory memory;
  std::vector<DecisionRecord> kept;
  DecisionRecorder recorder{"orders", [this](const DecisionRecord& record) {
                              kept.push_back(record);
                              return record.id == 0 ? kept.size() : record.id;
                            }};
};

}  // namespace

TEST_CASE("a failover is recorded with its evidence, candidates, steps, fence, WAL and clients") {
  Story story;
  story.memory.promise = {{"b"}, 1};
  story.begin();
  story.recorder.route_applied(4, "", {}, Story::now(2ms));
  auto fence = story.outcome(ActionKind::kFence, "a", true);
  fence.fence = FenceStrength::kProvenStopped;
  story.recorder.finished(fence, Story::now(10ms));
  story.choose();
  story.recorder.started(story.outcome(ActionKind::kPromote, "b", true).action, Story::now(13ms));
  story.recorder.finished(story.outcome(ActionKind::kPromote, "b", true), Story::now(50ms));
  story.promoted();
  CHECK(story.kept.empty());
  story.recorder.route_applied(
      4, "b", {.ended_idle = 11, .ended_in_transaction = 22, .ended_outcome_unknown = 33, .held = 0}, Story::now(52ms));
  REQUIRE(story.kept.size() == 1);
  story.recorder.decided(story.memory, story.nodes, "", false, Story::now(60ms));
  story.recorder.decided(story.memory, story.nodes, "", true, Story::now(2s));
  REQUIRE(story.kept.size() == 2);

  const DecisionRecord& record = story.kept.back();
  CHECK(record.id == 1);  // the first one, made whole
  CHECK(record.outcome == "done");
  CHECK(record.epoch == 4);
  CHECK(record.from == "a");
  CHECK(record.to == "b");
  CHECK(record.began == Story::now(-20ms).wall);
  REQUIRE(record.evidence.size() == 3);
  CHECK(record.evidence[0].text == "postmaster 12 has ended");
  CHECK(record.evidence[0].age == 20ms);
  REQUIRE(record.candidates.size() == 2);
  CHECK(record.candidates[0].safe);
  CHECK_FALSE(record.candidates[1].safe);
  CHECK(record.fence.starts_with("proven stopped"));
  CHECK(record.bytes_lacking == 0x100);
  CHECK(record.proven_lossless);
  CHECK(record.clients.ended_idle == 1);
  CHECK(record.clients.ended_in_transaction == 2);
  CHECK(record.clients.ended_outcome_unknown == 3);
  CHECK(record.clients.held == 5);
  CHECK(story.step("intent") == 20ms);
  CHECK(story.step("closed") == 22ms);
  CHECK(story.step("fenced") == 30ms);
  CHECK(story.step("positions") == 32ms);
  CHECK(story.step("promotion") == 33ms);
  CHECK(story.step("first write") == 70ms);
  CHECK(story.step("route open") == 72ms);
  CHECK(story.step("redundant again") == 2020ms);
}

TEST_CASE("a failover that ends with the old primary is recorded as failed") {
  Story story;
  story.begin();
  ClusterMemory next = story.memory;
  next.phase = Phase::kSteady;
  next.reason = "a is back, and nobody could replace it";
  story.store(next, 1s);
  REQUIRE(story.kept.size() == 1);
  CHECK(story.kept[0].outcome == "failed");
  CHECK(story.kept[0].reason == "a failed; a is back, and nobody could replace it");
  CHECK(story.kept[0].fence.starts_with("not reached"));
  story.recorder.decided(story.memory, story.nodes, "", true, Story::now(2s));
  CHECK(story.kept.size() == 1);
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
  story.recorder.route_applied(4, "b", {}, Story::now(52ms));
  REQUIRE(story.kept.size() == 1);
  CHECK(story.kept[0].ordered_by == "127.0.0.1:4242");
  CHECK_FALSE(story.kept[0].proven_lossless);
}

TEST_CASE("a refused failover is recorded once for each reason that lasts") {
  Story story;
  const auto decide = [&](const std::string& refusal, Duration when) {
    story.recorder.decided(story.memory, story.nodes, refusal, false, Story::now(when));
  };
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

TEST_CASE("a rejoin is recorded with how it went and how long it took") {
  Story story;
  Action action;
  action.kind = ActionKind::kRejoin;
  action.node = "b";
  action.upstream = "a";
  action.old_primary = true;
  story.recorder.started(action, Story::now(0ms));
  ActionStatus status;
  status.action = action;
  status.message = "no space left";
  story.recorder.finished(status, Story::now(1500ms));
  REQUIRE(story.kept.size() == 1);
  CHECK(story.kept[0].kind == DecisionRecord::Kind::kRejoin);
  CHECK(story.kept[0].outcome == "failed");
  CHECK(story.kept[0].reason == "it was the primary before: no space left");
  CHECK(story.step("finished") == 1500ms);
}
