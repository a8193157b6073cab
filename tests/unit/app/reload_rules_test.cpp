#include "proxy/app/reload_rules.h"

#include <algorithm>

#include <doctest/doctest.h>

#include "proxy/app/configuration_ledger.h"

using namespace pgkeel;

namespace {

NodeConfig node(const std::string& name) {
  NodeConfig config;
  config.name = name;
  config.address = {"10.0.0." + std::to_string(name[0]), 5432};
  return config;
}

ClusterConfig three_nodes() {
  ClusterConfig cluster;
  cluster.name = "orders";
  cluster.nodes = {node("a"), node("b"), node("c")};
  return cluster;
}

ClusterConfig without(const std::string& name) {
  ClusterConfig cluster = three_nodes();
  std::erase_if(cluster.nodes, [&](const NodeConfig& each) { return each.name == name; });
  return cluster;
}

ClusterMemory in_phase(Phase phase) {
  ClusterMemory memory;
  memory.phase = phase;
  memory.primary = "a";
  return memory;
}

ActionStatus running(ActionKind kind, const std::string& name) {
  ActionStatus status;
  status.action.kind = kind;
  status.action.node = name;
  status.running = true;
  return status;
}

using Lines = std::vector<std::string>;

Lines refusals(const ClusterConfig& wanted, const ClusterMemory& memory,
               const std::vector<ActionStatus>& actions = {}) {
  return reload_refusals(three_nodes(), &wanted, memory, actions);
}

}  // namespace

TEST_CASE("a standby can go, come and move while nothing is under way") {
  const ClusterMemory steady = in_phase(Phase::kSteady);
  CHECK(refusals(without("b"), steady).empty());
  ClusterConfig more = three_nodes();
  more.nodes.push_back(node("d"));
  CHECK(refusals(more, steady).empty());
  ClusterConfig moved = three_nodes();
  moved.nodes[1].address.port = 1;
  CHECK(refusals(moved, steady).empty());
}

TEST_CASE("the primary neither goes nor moves, and the reason names the way out") {
  const ClusterMemory steady = in_phase(Phase::kSteady);
  CHECK(
      refusals(without("a"), steady) ==
      Lines{"cluster.orders.node.a: cannot be removed: it is the primary; make another node the primary first: pgkeel "
            "switchover orders"});
  ClusterConfig moved = three_nodes();
  moved.nodes[0].address.port = 1;
  CHECK(refusals(moved, steady) ==
        Lines{"cluster.orders.node.a: cannot have another address: it is the primary; make another node the primary "
              "first: pgkeel switchover orders"});
}

TEST_CASE("while the primary changes nobody goes or moves, and all else can change") {
  for (const Phase phase :
       {Phase::kDraining, Phase::kStopping, Phase::kReturning, Phase::kFencing, Phase::kPromoting}) {
    CAPTURE(phase_name(phase));
    ClusterMemory memory = in_phase(phase);
    memory.candidate = "b";
    for (const char* name : {"a", "b", "c"}) CHECK(refusals(without(name), memory).size() == 1);
    CHECK(reload_refusals(three_nodes(), nullptr, memory, {}).size() == 1);
    ClusterConfig other = three_nodes();
    other.durability = Durability::kStrict;
    other.detection.failure_timeout = 10s;
    other.nodes[2].priority = 0;
    other.nodes.push_back(node("d"));
    CHECK(refusals(other, memory).empty());
  }
  ClusterMemory memory = in_phase(Phase::kPromoting);
  memory.candidate = "b";
  CHECK(refusals(without("b"), memory)[0] ==
        "cluster.orders.node.b: cannot be removed: it is being promoted; reload again when that is over");
}

TEST_CASE("a node whose files are worked on stays what it is, and so does its cluster") {
  const ClusterMemory steady = in_phase(Phase::kSteady);
  const std::vector<ActionStatus> rejoin = {running(ActionKind::kRejoin, "b")};
  const Lines reason = {
      "cluster.orders.node.b: cannot be changed while \"rejoin b\" runs; reload again when it has ended"};
  CHECK(refusals(without("b"), steady, rejoin) == reason);
  CHECK(reload_refusals(three_nodes(), nullptr, steady, rejoin) == reason);
  ClusterConfig handled = three_nodes();
  handled.nodes[1].agent = AgentAccessConfig{"https://h:1", {}};
  CHECK(refusals(handled, steady, rejoin) == reason);
  CHECK(refusals(handled, steady).empty());
  CHECK(refusals(without("c"), steady, rejoin).empty());
  CHECK(refusals(without("b"), steady, {running(ActionKind::kKeepSlot, "b")}).empty());
}

TEST_CASE("what stays although the file says otherwise is told") {
  ClusterConfig wanted = without("c");
  wanted.allow = {"10.0.0.0/8"};
  const Lines notes = reload_notes(three_nodes(), &wanted);
  REQUIRE(notes.size() == 2);
  CHECK(notes[0] ==
        "cluster.orders.allow: sessions that are there stay, also from networks that are not allowed any more");
  CHECK(notes[1].starts_with("cluster.orders.node.c: its server is left as it is"));
  const ClusterConfig same = three_nodes();
  CHECK(reload_notes(same, &same).empty());
  CHECK(reload_notes(same, nullptr).size() == 1);
}

TEST_CASE("the ledger counts, and knows what runs after a reload that was refused") {
  ConfigurationLedger ledger("/f", WallTime(1s));
  ReloadAnswer refused;
  refused.problems = {"/f:3:1: unknown key"};
  ledger.reloaded(refused, WallTime(2s));
  CHECK(ledger.status().reloads_refused == 1);
  CHECK(ledger.status().read_at == WallTime(1s));
  CHECK(ledger.status().problems == refused.problems);
  ReloadAnswer accepted;
  accepted.accepted = true;
  accepted.changes = {{.path = "proxy.workers", .before = "0", .after = "3", .effect = ReloadEffect::kRestart},
                      {.path = "log.level", .before = "\"info\"", .after = "\"debug\""}};
  ledger.reloaded(accepted, WallTime(3s));
  CHECK(ledger.status().reloads_succeeded == 1);
  CHECK(ledger.status().read_at == WallTime(3s));
  CHECK(ledger.status().problems.empty());
  CHECK(ledger.status().waiting == Lines{"proxy.workers: 0 -> 3 (waits for a restart)"});
  CHECK(reload_line(accepted, "SIGHUP") ==
        "configuration reloaded by SIGHUP: proxy.workers: 0 -> 3 (waits for a restart); log.level: \"info\" -> "
        "\"debug\"");
  CHECK(reload_line(refused, "SIGHUP").find("the configuration on disk is not what runs: /f:3:1") != std::string::npos);
}
