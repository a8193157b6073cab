#include "replication/decide/candidate.h"

#include <algorithm>

#include <doctest/doctest.h>

#include "replication/decide/retry.h"
#include "tests/support/change_facts.h"

using namespace pgkeel;
using pgkeel::test::change_facts;
using namespace std::chrono_literals;

namespace {

struct Cluster {
  ClusterView view;
  ClusterMemory memory;
  FailoverPolicy policy;

  Cluster() {
    memory.phase = Phase::kSteady;
    memory.primary = "a";
    memory.system_identifier = "7000";
    memory.timeline = 1;
  }

  NodeView& standby(std::string name, Lsn position, std::uint32_t priority = 100) {
    NodeView node;
    node.name = std::move(name);
    node.priority = priority;
    node.suspicion.liveness = Liveness::kAlive;
    change_facts(node, [&](NodeFacts& facts) {
      facts.system_identifier = "7000";
      facts.in_recovery = true;
      facts.timeline = 1;
      facts.wal_position = position;
    });
    view.nodes.push_back(std::move(node));
    return view.nodes.back();
  }

  [[nodiscard]] std::string best() const {
    const NodeView* node = best_candidate(situation());
    return node == nullptr ? "nobody" : node->name;
  }
  [[nodiscard]] std::string why_not(const NodeView& node) const { return may_be_promoted(situation(), node).why_not; }
  [[nodiscard]] Situation situation() const { return {view, memory, policy, {Instant(1h), WallTime(1h)}}; }
};

}  // namespace

TEST_CASE("the standby with the most WAL is promoted; priority only breaks ties") {
  Cluster cluster;
  cluster.standby("b", {0x3000}, 50);
  CHECK(cluster.best() == "b");
  cluster.standby("c", {0x3000}, 60);
  CHECK(cluster.best() == "c");
  change_facts(cluster.view.nodes.back(), [](NodeFacts& facts) { facts.replay_paused = true; });
  CHECK(cluster.best() == "b");
  cluster.standby("d", {0x3001}, 1);
  CHECK(cluster.best() == "d");
  cluster.standby("e", {0x9000}, 0);
  CHECK(cluster.best() == "d");
}

TEST_CASE("a node that may not be promoted says why") {
  Cluster cluster;
  cluster.view.nodes.reserve(16);  // references below stay valid
  CHECK(cluster.why_not(cluster.standby("b", {0x3000})).empty());
  CHECK(cluster.why_not(cluster.standby("a", {0x3000})) == "a is the primary that failed");
  CHECK(cluster.why_not(cluster.standby("z", {0x3000}, 0)) == "z has priority 0");

  NodeView& silent = cluster.standby("c", {0x3000});
  silent.suspicion.liveness = Liveness::kSilent;
  CHECK(cluster.why_not(silent) == "c does not answer");

  NodeView& primary = cluster.standby("d", {0x3000});
  change_facts(primary, [](NodeFacts& facts) { facts.in_recovery = false; });
  CHECK(cluster.why_not(primary) == "d is not a standby");

  NodeView& stranger = cluster.standby("e", {0x3000});
  change_facts(stranger, [](NodeFacts& facts) { facts.system_identifier = "8000"; });
  CHECK(cluster.why_not(stranger) == "e is of another cluster (system identifier 8000)");

  cluster.memory.nodes["f"].old_primary = true;
  CHECK(cluster.why_not(cluster.standby("f", {0x3000})) ==
        "f is an old primary that has not followed the newest one yet");

  NodeView& behind = cluster.standby("g", {0x3000});
  cluster.memory.timeline = 2;
  CHECK(cluster.why_not(behind) == "g is on timeline 1, the primary wrote timeline 2");
  cluster.memory.timeline = 1;

  NodeView& paused = cluster.standby("h", {0x3000});
  change_facts(paused, [](NodeFacts& facts) { facts.replay_paused = true; });
  CHECK(cluster.why_not(paused).empty());  // its promotion ends that

  NodeView& delayed = cluster.standby("i", {0x3000});
  change_facts(delayed, [](NodeFacts& facts) { facts.recovery_min_apply_delay = 5min; });
  CHECK(cluster.why_not(delayed) == "i is kept behind on purpose (recovery_min_apply_delay)");

  NodeView& aimed = cluster.standby("k", {0x3000});
  change_facts(aimed, [](NodeFacts& facts) { facts.recovery_target_set = true; });
  CHECK(cluster.why_not(aimed) ==
        "k has a recovery_target, and would end its recovery there, without what it has received since");

  NodeView& small = cluster.standby("l", {0x3000});
  change_facts(small, [](NodeFacts& facts) { facts.limits = {{"max_connections", 50}}; });
  CHECK(cluster.why_not(small).empty());  // what its primary has is not known
  change_facts(*std::ranges::find(cluster.view.nodes, "a", &NodeView::name), [](NodeFacts& facts) {
    facts.limits = {{"max_connections", 100}, {"max_wal_senders", 10}};
  });
  CHECK(cluster.why_not(small) == "l cannot replay all WAL: its max_connections is 50, its primary's 100");

  cluster.memory.abandoned_candidate = "j";
  CHECK(cluster.why_not(cluster.standby("j", {0x3000})) == "j failed while it was promoted");
}

TEST_CASE("without a standby there is nobody to promote") {
  Cluster cluster;
  CHECK(cluster.best() == "nobody");
  CHECK(why_no_candidate(cluster.situation()) == "there is no standby");
}

TEST_CASE("the pause before an action is tried again doubles from a second to a minute, of a rejoin to ten minutes") {
  CHECK(retry_pause(ActionKind::kFollow, 1) == 1s);
  CHECK(retry_pause(ActionKind::kFollow, 2) == 2s);
  CHECK(retry_pause(ActionKind::kFollow, 6) == 32s);
  CHECK(retry_pause(ActionKind::kFollow, 7) == 60s);
  CHECK(retry_pause(ActionKind::kFollow, 4'000'000'000) == 60s);
  CHECK(retry_pause(ActionKind::kRejoin, 6) == 32s);
  CHECK(retry_pause(ActionKind::kRejoin, 10) == 512s);
  CHECK(retry_pause(ActionKind::kRejoin, 4'000'000'000) == 10min);
  CHECK(retry_pause(ActionKind::kCutOff, 1) == 250ms);
  CHECK(retry_pause(ActionKind::kCutOff, 3) == 1s);
  CHECK(retry_pause(ActionKind::kCutOff, 4'000'000'000) == 60s);
}
