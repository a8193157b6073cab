#include "proxy/app/ordered_rest.h"

#include <doctest/doctest.h>

using namespace pgkeel;
using namespace std::chrono_literals;

namespace {

NodeConfig node(const std::string& name) {
  NodeConfig config;
  config.name = name;
  return config;
}

struct Looked {
  Looked() {
    memory.phase = Phase::kSteady;
    memory.primary = "a";
    readiness.failover_would_work = readiness.rejoin_would_work = true;
  }
  void add() { add_ordered_rest(memory, nodes, readiness); }

  ClusterMemory memory;
  std::vector<NodeConfig> nodes = {node("a"), node("b"), node("c")};
  Readiness readiness;
  const Maintenance maintenance{WallTime(1'700'000'000s), "127.0.0.1:4242"};
};

}  // namespace

TEST_CASE("where nothing was ordered, what the look found stays") {
  Looked looked;
  looked.add();
  CHECK(looked.readiness.failover_would_work);
  CHECK(looked.readiness.rejoin_would_work);
  CHECK(looked.readiness.findings.empty());
}

TEST_CASE("no failover would work while the cluster is under maintenance") {
  Looked looked;
  looked.memory.maintenance = looked.maintenance;
  looked.add();
  CHECK_FALSE(looked.readiness.failover_would_work);
  CHECK(looked.readiness.rejoin_would_work);
  REQUIRE(looked.readiness.findings.size() == 1);
  CHECK(looked.readiness.findings[0].problem.find("under maintenance since 2023-11-14T22:13:20") != std::string::npos);
  CHECK(looked.readiness.findings[0].remedy.find("pgkeel maintenance off") != std::string::npos);
}

TEST_CASE("a node under maintenance counts for no failover, and the last one takes it along") {
  Looked looked;
  looked.memory.nodes_maintained["b"] = looked.maintenance;
  looked.add();
  CHECK(looked.readiness.failover_would_work);
  REQUIRE(looked.readiness.findings.size() == 1);
  CHECK(looked.readiness.findings[0].node == "b");

  SUBCASE("the other one too") {
    looked.memory.nodes_maintained["c"] = looked.maintenance;
  }
  SUBCASE("the other one may never be promoted") {
    looked.nodes[2].priority = 0;
  }
  SUBCASE("the other one has a fault") {
    looked.readiness.findings.push_back({.rule = "unreachable",
                                         .node = "c",
                                         .severity = FindingSeverity::kError,
                                         .prevents = Prevents::kFailover,
                                         .problem = "does not answer"});
  }
  looked.add();
  CHECK_FALSE(looked.readiness.failover_would_work);
}

TEST_CASE("neither a failover nor a rejoin would work while the cluster is stopped, or torn down") {
  for (const Phase phase : {Phase::kStopped, Phase::kTornDown}) {
    CAPTURE(phase_name(phase));
    Looked looked;
    looked.memory.phase = phase;
    looked.add();
    CHECK_FALSE(looked.readiness.failover_would_work);
    CHECK_FALSE(looked.readiness.rejoin_would_work);
    CHECK(looked.readiness.findings.size() == 1);
  }
}
