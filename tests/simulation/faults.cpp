#include "tests/simulation/faults.h"

#include <algorithm>
#include <utility>

namespace pgkeel::simulation {

using namespace std::chrono_literals;

void Faults::begin(Instant until) {
  next(until);
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

Server& Faults::any_or_primary() {
  Server* found = pgkeel_.primary_server();
  return found != nullptr && world_.random.chance(0.6) ? *found : world_.any_server();
}

void Faults::one() {
  switch (world_.random.below(22)) {
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
    case 13:
      return slow_disk();
    case 14:
      return impostor();
    case 15:
      return change_clock();
    case 16:
    case 17:
      return agent_fails();
    case 18:
    case 19:
      return operator_orders();
    case 20:
      return power_fails();
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
    switch (world_.random.below(7)) {
      case 6:
        return operator_orders();
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
  const bool whole_host = node.host != Host::kOwn && world_.random.chance(0.3);
  node.die();
  if (whole_host) take_host_down(node);
}

// Everywhere, while one lags behind. All come back by themselves, but maybe the primary.
void Faults::power_fails() {
  slow_disk();
  world_.queue.after(world_.random.between(100ms, 1s), [this] {
    if (!healed_) everything_crashes();
  });
}

void Faults::everything_crashes() {
  Server* primary = pgkeel_.primary_server();
  const bool stays_down = primary != nullptr && world_.random.chance(0.6);
  for (auto& server : world_.servers) {
    if (stays_down && &server == primary) {
      server.die();
      if (server.host != Host::kOwn) take_host_down(server);
    } else {
      server.crash_and_restart();
    }
  }
}

void Faults::take_host_down(Server& node) {
  world_.trace([&] { return node.name + ": its host is down"; });
  node.host_down = true;
  if (const auto& agent = world_.agents[node.number]) agent->die();
  world_.queue.after(world_.random.between(1s, 20s), [this, &node] {
    node.host_down = false;
    if (const auto& agent = world_.agents[node.number]) agent->start();
  });
}

// Its server, and the host, live on.
void Faults::agent_fails() {
  const Server& node = any_or_primary();
  if (world_.agents[node.number] == nullptr) return;
  if (world_.random.chance(0.4)) return cut(world_.pgkeel(), world_.agent_of(node.number));
  Agent& agent = *world_.agents[node.number];
  agent.die();
  world_.queue.after(world_.random.between(300ms, 15s), [&agent] { agent.start(); });
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
  if (world_.random.chance(0.3)) {
    if (world_.random.chance(0.5)) std::swap(left, right);
    world_.trace([&] { return "cut: from " + world_.peer_name(left) + " to " + world_.peer_name(right); });
    world_.cut_one_way(left, right, true);
  } else {
    world_.trace([&] { return "cut: " + world_.peer_name(left) + " and " + world_.peer_name(right); });
    world_.cut(left, right, true);
  }
  world_.queue.after(world_.random.between(200ms, 10s), [this, left, right] {
    world_.trace([&] { return "healed: " + world_.peer_name(left) + " and " + world_.peer_name(right); });
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
  Server& node = world_.any_server();
  switch (world_.random.below(5)) {
    case 0:
      if (node.state != ProcessState::kDead) return;
      operator_.start(node);
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
      return change_standby_names();
    }
  }
}

void Faults::operator_orders() {
  OperatorOrder order;
  order.given_by = "the operator";
  const Server& node = world_.any_server();
  switch (world_.random.below(10)) {
    case 6:
    case 7:
      order.kind = OrderKind::kMaintenance;
      order.on = world_.random.chance(0.6);
      if (world_.random.chance(0.4)) order.node = node.name;
      break;
    case 8:
      order.kind = OrderKind::kStop;
      break;
    case 9:
      order.kind = OrderKind::kStart;
      break;
    case 0:
      order.kind = OrderKind::kRejoin;
      order.node = node.name;
      order.rebuild = world_.random.chance(0.4);
      break;
    case 1:
      order.kind = OrderKind::kResolve;
      order.node = node.name;
      break;
    case 2:
    case 3:
      order.kind = OrderKind::kSwitchover;
      break;
    default:
      order.kind = OrderKind::kFailover;
      if (world_.random.chance(0.5)) order.node = node.name;
      order.accept_loss = world_.random.chance(0.2);
  }
  operator_.give(order);
}

// Under durability = async it is the operator's own; else it is pgkeel's, and somebody interferes.
void Faults::change_standby_names() {
  Server* routed = pgkeel_.primary_server();
  if (routed == nullptr || !routed->writable() || routed->sync.file().members == Quorum::kNobody) return;
  Quorum value = routed->sync.file().waits() ? Quorum{} : world_.operators_quorum(routed->number);
  if (world_.keeps_commits()) {
    if (world_.random.chance(0.3)) value = quorum_of("*");
    value.meddling = world_.new_meddling();
  }
  routed->sync.alter_system(value);
  world_.trace([&] { return routed->name + ": somebody sets synchronous_standby_names = '" + text_of(value) + "'"; });
  if (world_.random.chance(0.9)) routed->sync.reload();
}

// pg_receivewal, a clone, a subscription: it bears the name of a standby.
void Faults::impostor() {
  Server* routed = pgkeel_.primary_server();
  if (routed == nullptr || !routed->writable()) return;
  const Server& named = world_.any_server();
  world_.trace([&] { return routed->name + ": an impostor streams under the name of " + named.name; });
  routed->sync.disguise(name_bit(named.number), world_.new_meddling());
  world_.queue.after(world_.random.between(200ms, 10s), [routed, incarnation = routed->incarnation] {
    if (routed->incarnation == incarnation) routed->sync.end_impostors();
  });
}

void Faults::slow_disk() {
  Server& node = world_.any_server();
  const Duration time = world_.random.between(200ms, 6s);
  world_.trace([&] { return node.name + ": its disk stands still for " + format_duration(time); });
  node.disk_slow_until = world_.queue.now() + time;
}

void Faults::change_clock() {
  world_.trace([] { return "the wall clock jumps"; });
  world_.queue.jump_wall_clock(world_.random.between(-20min, 20min));
}

void Faults::promote_by_hand() {
  Server& node = world_.any_server();
  if (!node.up() || !node.standby_signal) return;
  world_.trace([&] { return node.name + ": is promoted by hand"; });
  node.promoted_by_hand = true;
  node.begin_promotion();
}

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
    server.disk_slow_until = {};
    server.sync.end_impostors();
    if (const auto& agent = world_.agents[server.number]) agent->start();
  }
  pgkeel_.start();
  operator_.leave_alone(std::nullopt);
  operator_.begin_mending();
}

}  // namespace pgkeel::simulation
