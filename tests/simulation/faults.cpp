#include "tests/simulation/faults.h"

#include <algorithm>

namespace pgkeel::simulation {

using namespace std::chrono_literals;

namespace {
constexpr Duration kMendInterval = 3s;
constexpr int kRoundsBeforeResolving = 5;
}  // namespace

void Faults::begin(Instant until) {
  next(until);
  traffic_beside();
  world_.on_transition = [this, until] {
    if (world_.random.chance(0.6)) return;
    world_.queue.after(world_.random.between(0ms, 300ms), [this, until] {
      if (!healed_ && world_.queue.now() < until) strike();
    });
  };
}

void Faults::next(Instant until) {
  const Duration pause = world_.random.between(world_.setting.between_faults / 8, world_.setting.between_faults * 2);
  world_.queue.after(pause, [this, until] {
    if (healed_ || world_.queue.now() >= until) return;
    one();
    if (world_.random.chance(0.3)) one();  // at the same moment
    next(until);
  });
}

Server* Faults::primary() {
  for (auto& server : world_.servers) {
    if (server.name == pgkeel_.memory().primary) return &server;
  }
  return nullptr;
}

Server& Faults::any_or_primary() {
  Server* found = primary();
  return found != nullptr && world_.random.chance(0.6) ? *found : any();
}

void Faults::one() {
  switch (world_.random.below(14)) {
    case 0:
    case 1:
    case 2:
      return crash();
    case 3:
    case 4:
      return hang(any_or_primary());
    case 5:
    case 6:
      return cut_anything();
    case 7:
    case 8:
      return kill_pgkeel();
    case 9:
      return pgkeel_.sleep(world_.random.between(100ms, 5s));
    case 10:
      return fill_disk();
    case 11:
      return any_or_primary().crash_and_restart();
    case 12:
      return operator_meddles();
    default:
      if (world_.setting.hand_promotions) return promote_by_hand();
      return operator_meddles();
  }
}

// At those who matter in this phase.
void Faults::strike() {
  const ClusterMemory& memory = pgkeel_.memory();
  const std::string& name = memory.candidate.empty() ? memory.primary : memory.candidate;
  for (auto& server : world_.servers) {
    if (server.name != name) continue;
    switch (world_.random.below(6)) {
      case 0:
      case 1:
        return server.die();
      case 2:
        return hang(server);
      case 3:
        return cut(server.number, world_.pgkeel());
      case 4:
        return server.crash_and_restart();
      default:
        return kill_pgkeel();
    }
  }
}

void Faults::crash() {
  if (world_.random.chance(0.1)) {
    for (auto& server : world_.servers) server.die();
    return;
  }
  Server& node = any_or_primary();
  const bool whole_host = !node.local && world_.random.chance(0.3);
  node.die();
  if (whole_host) {
    world_.trace([&] { return node.name + ": its host is down"; });
    node.host_down = true;
    world_.queue.after(world_.random.between(1s, 20s), [&node] { node.host_down = false; });
  }
}

void Faults::hang(Server& node) {
  if (node.state != ProcessState::kRunning) return;
  world_.trace([&] { return node.name + ": hangs"; });
  node.hung = true;
  world_.queue.after(world_.random.between(200ms, 10s), [this, &node, incarnation = node.incarnation] {
    if (node.incarnation != incarnation) return;
    world_.trace([&] { return node.name + ": goes on"; });
    node.hung = false;
  });
}

void Faults::cut_anything() {
  const std::size_t left = any_or_primary().number;
  const std::size_t right = world_.random.below(world_.servers.size() + 1);
  cut(left, left == right ? world_.pgkeel() : right);
}

void Faults::cut(std::size_t left, std::size_t right) {
  world_.trace([&] {
    return "cut: " + world_.servers[left].name + " and " +
           (right == world_.pgkeel() ? "pgkeel" : world_.servers[right].name);
  });
  world_.cut(left, right, true);
  world_.queue.after(world_.random.between(200ms, 10s), [this, left, right] {
    world_.trace([&] { return "healed: " + std::to_string(left) + " and " + std::to_string(right); });
    world_.cut(left, right, false);
  });
}

void Faults::kill_pgkeel() {
  if (world_.random.chance(0.5)) {
    pgkeel_.kill_after_effects(1 + world_.random.below(12));
  } else {
    pgkeel_.kill();
  }
  restart_pgkeel_later();
}

void Faults::restart_pgkeel_later() {
  world_.queue.after(world_.random.between(20ms, 4s), [this] {
    if (!pgkeel_.running()) return pgkeel_.start();
    if (!healed_) restart_pgkeel_later();  // it is to be killed between two effects still
  });
}

void Faults::fill_disk() {
  pgkeel_.disk_mode = world_.random.chance(0.5) ? DiskMode::kFull : DiskMode::kUnsure;
  world_.trace([] { return "pgkeel's disk does not work"; });
  world_.queue.after(world_.random.between(500ms, 8s), [this] { pgkeel_.disk_mode = DiskMode::kWorks; });
}

// Somebody acts beside pgkeel, on a server or on its settings.
void Faults::operator_meddles() {
  Server& node = any();
  switch (world_.random.below(5)) {
    case 0:
      if (node.state != ProcessState::kDead) return;
      start(node);
      return;
    case 1:
      if (node.state != ProcessState::kRunning || node.hung) return;
      world_.trace([&] { return node.name + ": is shut down by the operator"; });
      node.die();
      node.cleanly_stopped = true;
      return;
    case 2:
      if (!node.up()) return;
      node.replay_paused = node.standby_signal && !node.replay_paused;
      return;
    default: {
      Server* routed = primary();
      if (routed == nullptr || !routed->writable() || routed->sync.file().members == Quorum::kNobody) return;
      routed->sync.alter_system(routed->sync.file().waits() ? Quorum{} : world_.operators_quorum(routed->number));
      world_.trace([&] { return routed->name + ": synchronous_standby_names = " + text_of(routed->sync.file()); });
      routed->sync.reload();
      return;
    }
  }
}

void Faults::promote_by_hand() {
  Server& node = any();
  if (!node.up() || !node.standby_signal) return;
  world_.trace([&] { return node.name + ": is promoted by hand"; });
  node.promoted_by_hand = true;
  node.begin_promotion();
}

// What a server writes that no client of pgkeel sent: it makes histories diverge.
void Faults::traffic_beside() {
  world_.queue.after(world_.random.between(100ms, 1s), [this] {
    for (auto& server : world_.servers) {
      if (server.writable() && world_.random.chance(0.5)) server.write();
    }
    if (!healed_) traffic_beside();
  });
}

// ---- the operator --------------------------------------------------------------------------------------------------

void Faults::heal() {
  world_.trace([] { return "everything is healed"; });
  healed_ = true;
  world_.heal_network();
  pgkeel_.kill_after_effects(0);
  pgkeel_.disk_mode = DiskMode::kWorks;
  for (auto& server : world_.servers) {
    server.hung = false;
    server.host_down = false;
    server.replay_paused = false;
  }
  pgkeel_.start();
  mend();
}

void Faults::mend() {
  for (auto& server : world_.servers) mend_node(server);
  mend_standby_names();
  resolve_collision();
  world_.queue.after(kMendInterval, [this] { mend(); });
}

// Nodes on pgkeel's host are its own business, but for those that somebody shut down, and what a collision asks for.
void Faults::mend_node(Server& node) {
  const ClusterMemory& memory = pgkeel_.memory();
  Server* routed = primary();
  const bool other_is_primary =
      routed != nullptr && routed != &node && routed->writable() && pgkeel_.leads_to(routed->name);
  if (node.local) {
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

// A setting that came with a copy names the wrong standbys, or the node itself.
void Faults::mend_standby_names() {
  Server* routed = primary();
  if (routed == nullptr || !routed->writable()) return;
  const Quorum& present = routed->sync.file();
  if (!present.names(name_bit(routed->number)) || present.members == Quorum::kNobody) return;
  world_.trace([&] { return routed->name + ": the operator mends synchronous_standby_names"; });
  routed->sync.alter_system({});
  routed->sync.reload();
}

void Faults::start(Server& node) {
  node.start();
  node.started_by_operator = true;
}

void Faults::rebuild(Server& node, const Server& primary) {
  world_.trace([&] { return node.name + ": is rebuilt by the operator"; });
  node.die();
  node.become_standby_of(primary);
  node.has_slot_name = false;
  node.named = world_.random.chance(0.5);
  node.start();
}

// Two primaries, or nobody who may become one: somebody has to choose.
void Faults::resolve_collision() {
  const bool stuck = pgkeel_.condition() == Condition::kCollision || pgkeel_.memory().phase == Phase::kUnadopted;
  rounds_in_collision_ = stuck ? rounds_in_collision_ + 1 : 0;
  if (rounds_in_collision_ < kRoundsBeforeResolving) return;
  rounds_in_collision_ = 0;
  Server* kept = nullptr;
  for (auto& server : world_.servers) {
    if (!server.writable()) continue;
    if (kept == nullptr || server.wal.timeline > kept->wal.timeline) kept = &server;
  }
  if (kept == nullptr) {
    any().begin_promotion();
    return;
  }
  if (kept->name == pgkeel_.memory().primary && pgkeel_.memory().phase == Phase::kSteady) {
    for (auto& server : world_.servers) {
      if (&server == kept || !server.writable()) continue;
      server.die();  // pgkeel rebuilds those of its host, the operator the others
      if (!server.local) rebuild(server, *kept);
    }
    return;
  }
  world_.trace([&] { return "the operator chooses " + kept->name; });
  pgkeel_.kill();
  pgkeel_.start(kept->name);
}

}  // namespace pgkeel::simulation
