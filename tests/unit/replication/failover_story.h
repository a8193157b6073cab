// A failover as its recorder hears of it. One thread.
#pragma once

#include <algorithm>
#include <string>
#include <utility>
#include <vector>

#include "replication/execute/decision_recorder.h"
#include "tests/support/change_facts.h"

namespace pgkeel::test {

using namespace std::chrono_literals;

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
    change_facts(view, [&](NodeFacts& facts) {
      facts.in_recovery = in_recovery;
      facts.timeline = 1;
      facts.wal_position = Lsn{wal};
    });
    return view;
  }

  static Now now(Duration after) { return {Instant(1h) + after, WallTime(1'700'000'000s) + after}; }

  // As the controller does it: stored, and then its actions are started.
  void store(ClusterMemory next, Duration after) {
    recorder.stored(memory, next, nodes, now(after));
    memory = std::move(next);
    decide(after);
  }
  void decide(Duration after, bool normal = false, const std::string& refusal = "") {
    recorder.decided(memory, nodes, refusal, normal, now(after));
  }

  void begin(const std::string& reason = "a failed") {
    ClusterMemory next = memory;
    next.phase = Phase::kFencing;
    next.epoch += 1;
    next.reason = reason;
    store(next, 0ms);
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
    clients.held = 5;
    store(next, 51ms);
  }
  // b tells what it has, and the controller has compared it.
  void asked_after_the_promotion() {
    change_facts(nodes[1], [](NodeFacts& facts) { facts.in_recovery = false; });
    memory.logical_slots.primary = "b";
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
  DecisionRecord::Clients clients{
      .ended_idle = 10, .ended_in_transaction = 20, .ended_busy = 30, .ended_in_commit = 40, .held = 0, .released = 50};
  std::uint64_t records = 0;
  DecisionRecorder recorder{"orders",
                            [this](const DecisionRecord& record) {
                              kept.push_back(record);
                              return kept.back().id = record.id == 0 ? ++records : record.id;
                            },
                            [this] { return clients; }};
};

}  // namespace pgkeel::test
