#include "tests/simulation/operator.h"

#include <map>

namespace pgkeel::simulation {

using namespace std::chrono_literals;

namespace {
constexpr Duration kMendInterval = 3s;
constexpr int kRoundsBeforeResolving = 5;
}  // namespace

void Operator::begin_mending() {
  if (mending_) return;
  mending_ = true;
  mend();
}

void Operator::mend() {
  for (auto& server : world_.servers) {
    if (server.number != left_alone_) mend_node(server);
  }
  mend_standby_names();
  end_planned_work();
  resolve_collision();
  world_.queue.after(kMendInterval, [this] { mend(); });
}

// Nodes on pgkeel's host, or with an agent, are its own business, but for those that somebody shut down, and what a
// collision asks for.
void Operator::mend_node(Server& node) {
  if (const auto& agent = world_.agents[node.number]) agent->start();
  const ClusterMemory& memory = pgkeel_.memory();
  if (memory.phase == Phase::kStopped) return;  // it is to be started in the right order
  Server* routed = pgkeel_.primary_server();
  const bool other_is_primary =
      routed != nullptr && routed != &node && routed->writable() && pgkeel_.leads_to(routed->name);
  if (node.host != Host::kForeign) {
    const bool nobody_else_starts_it = node.cleanly_stopped || memory.phase == Phase::kUnadopted;
    if (node.state == ProcessState::kDead && nobody_else_starts_it) start(node);
    return;
  }
  if (node.state == ProcessState::kDead) {
    if (other_is_primary) {
      rebuild(node, *routed);
    } else {
      start(node);
    }
    return;
  }
  if (!other_is_primary || !node.up()) return;
  const auto marked = memory.nodes.find(node.name);
  const bool is_old_primary = marked != memory.nodes.end() && marked->second.old_primary && !node.standby_signal;
  const bool is_lost_standby = node.standby_signal && !node.wal.is_prefix_of(routed->wal);
  if (is_old_primary || is_lost_standby) rebuild(node, *routed);
}

// What was begun is ended: maintenance, and a stop.
void Operator::end_planned_work() {
  const ClusterMemory& memory = pgkeel_.memory();
  OperatorOrder order;
  if (memory.phase == Phase::kStopped) {
    order.kind = OrderKind::kStart;
    give(order);
  }
  order.kind = OrderKind::kMaintenance;
  if (memory.maintenance) give(order);
  for (const auto& [node, maintenance] : std::map(memory.nodes_maintained)) {
    order.node = node;
    give(order);
  }
}

// Where pgkeel does not manage it: a setting that came with a copy names the node itself; and one that somebody wrote,
// and did not reload, is known to some processes only: backends wait, and a walsender that comes later counts for none.
void Operator::mend_standby_names() {
  Server* routed = pgkeel_.primary_server();
  if (world_.keeps_commits() || routed == nullptr || !routed->writable()) return;
  const Quorum& present = routed->sync.file();
  const bool names_itself = present.names(name_bit(routed->number)) && present.members != Quorum::kNobody;
  const bool is_reloaded = routed->sync.loaded().same_value(present);
  if (!names_itself && is_reloaded) return;
  world_.trace([&] { return routed->name + ": the operator mends synchronous_standby_names"; });
  if (names_itself) routed->sync.alter_system({});
  routed->sync.reload();
}

void Operator::start(Server& node) {
  node.start();
  node.started_by_operator = true;
}

void Operator::give(const OperatorOrder& order) {
  world_.trace([&] {
    return std::string("the operator orders: ") + order_name(order.kind) + (order.on ? " on " : " ") + order.node +
           (order.accept_loss ? " --accept-loss" : "") + (order.rebuild ? " --rebuild" : "");
  });
  pgkeel_.give_order(order);
}

void Operator::rebuild(Server& node, const Server& primary) {
  world_.trace([&] { return node.name + ": is rebuilt by the operator"; });
  node.die();
  node.become_standby_of(primary);
  pgkeel_.checkers().durability.files_changed();
  node.has_slot_name = false;
  node.named = world_.random.chance(0.5);
  node.start();
}

// Two primaries, nobody who may become one, or a candidate given up of which pgkeel cannot prove that it is stopped:
// somebody has to choose.
void Operator::resolve_collision() {
  const ClusterMemory& memory = pgkeel_.memory();
  const bool waits_for_proof = memory.phase == Phase::kFencing && !memory.abandoned_candidate.empty();
  const bool stuck =
      pgkeel_.condition() == Condition::kCollision || memory.phase == Phase::kUnadopted || waits_for_proof;
  rounds_in_collision_ = stuck ? rounds_in_collision_ + 1 : 0;
  if (rounds_in_collision_ < kRoundsBeforeResolving) return;
  rounds_in_collision_ = 0;
  Server* kept = nullptr;
  for (auto& server : world_.servers) {
    if (!server.writable()) continue;
    if (kept == nullptr || server.wal.timeline > kept->wal.timeline) kept = &server;
  }
  if (kept == nullptr) {
    world_.any_server().begin_promotion();
    return;
  }
  if (kept->name == pgkeel_.memory().primary && pgkeel_.memory().phase == Phase::kSteady) {
    for (auto& server : world_.servers) {
      if (&server == kept || !server.writable()) continue;
      server.die();  // pgkeel rebuilds those of its host, the operator the others
      if (server.host == Host::kForeign) rebuild(server, *kept);
    }
    return;
  }
  if (pgkeel_.condition() == Condition::kCollision && world_.random.chance(0.6)) {
    OperatorOrder order;
    order.kind = OrderKind::kResolve;
    order.node = kept->name;
    return give(order);
  }
  world_.trace([&] { return "the operator chooses " + kept->name; });
  pgkeel_.kill();
  pgkeel_.start(kept->name);
}

}  // namespace pgkeel::simulation
