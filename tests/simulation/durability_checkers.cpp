#include "tests/simulation/durability_checkers.h"

#include <algorithm>

#include "replication/sync/sync_planner.h"

namespace pgkeel::simulation {

using namespace std::chrono_literals;

bool loss_is_accepted(const ClusterMemory& memory) {
  return std::ranges::any_of(memory.orders, [](const OperatorOrder& order) {
    return order.kind == OrderKind::kFailover && order.state == OrderState::kRunning && order.accept_loss;
  });
}

namespace {
constexpr Duration kTimeToCutOff = 2s;  // a standby, off a primary that was proven stopped

bool holds(const Server& server, RecordId record) {
  return !server.half_rebuilt && server.wal.holds(record);
}

// By what is ordered, or by what a walsender goes by that has not read that yet.
bool is_waited_for(const ClusterMemory& memory, const Server& server, const Server& standby) {
  const auto names_it = [&standby](const WalSenderProcess& sender) {
    return sender.setting.names(name_bit(standby.number));
  };
  return memory.standby_names.contains(standby.name) || memory.standby_names_in_force.contains(standby.name) ||
         std::ranges::any_of(server.sync.senders(), names_it);
}

bool is_open(Phase phase) {
  return phase == Phase::kSteady || phase == Phase::kDraining;
}
}  // namespace

// The node that clients are or will be led to.
const Server* DurabilityCheckers::leader() const {
  const ClusterMemory& memory = disk_.memory;
  if (memory.phase == Phase::kPromoting) return world_.server(memory.candidate);
  return is_open(memory.phase) ? world_.server(memory.primary) : nullptr;
}

void DurabilityCheckers::acknowledged(const Server& server, RecordId record, std::uint32_t meddling) {
  if (!world_.keeps_commits() || !world_.meddlings[meddling] || loss_is_accepted(disk_.memory)) return;
  // By what pgkeel goes by: it does not know of a store that was said to have failed, and leads nobody by it.
  const ClusterMemory& memory = disk_.or_else ? *disk_.or_else : disk_.memory;
  if (memory.primary == server.name && memory.opens_when_commits_wait) return;  // it is promised of by nobody yet
  if (memory.primary != server.name) {
    // One that was never led to, because it failed while it was promoted, or that somebody changed or started since.
    const bool somebodys_doing = server.promoted_by_hand || server.started_by_operator || meddling != 0;
    if (!was_led_to_[server.number] || somebodys_doing) return;
  }
  if (nobody_could_know(server)) {
    acknowledged_beside_ = std::max(acknowledged_beside_, record);
    return;
  }
  const Server* led_to = leader();
  if (led_to != nullptr && !holds(*led_to, record)) {
    world_.violated(server.name + " acknowledged the write " + std::to_string(record) + " that " + led_to->name +
                    ", chosen in its place, does not have");
  }
  newest_ = std::max(newest_, record);
  acknowledgements_ += 1;
  check_promises();
}

void DurabilityCheckers::acknowledged_to_client(const Server& server, RecordId record, std::uint32_t meddling) const {
  if (world_.setting.policy.durability != Durability::kStrict || meddling != 0) return;
  const auto counts = [&](const Server& other) { return other.number != server.number && other.priority > 0; };
  if (std::ranges::none_of(world_.servers, counts)) return;
  // While one setting takes the place of another, the weaker counts.
  const ClusterMemory& memory = disk_.memory;
  const std::uint32_t needed = std::max(1U, std::min(memory.standby_names.acks, memory.standby_names_in_force.acks));
  const auto holders = std::ranges::count_if(world_.servers, [&](const Server& other) {
    return other.number != server.number && other.priority > 0 && is_waited_for(memory, server, other) &&
           holds(other, record);
  });
  if (holders >= static_cast<std::ptrdiff_t>(needed)) return;
  world_.violated(server.name + " acknowledged the write " + std::to_string(record) + " to a client, and strictly " +
                  std::to_string(needed) + " that commits wait for must hold it, of whom " + std::to_string(holders) +
                  " do");
}

// It was proven stopped, and somebody started it beside pgkeel; and those of its standbys that still acknowledge are
// not cut off it for want of time or of a way to them.
bool DurabilityCheckers::nobody_could_know(const Server& server) const {
  const ClusterMemory& memory = disk_.memory;
  const bool started_since = stop_.server == &server && epoch_ == memory.epoch && server.started_by_operator &&
                             server.incarnation > stop_.incarnation;
  if (!started_since || memory.phase == Phase::kSteady) return false;
  std::uint32_t out_of_its_reach = 0;
  bool had_no_time = false;
  for (const auto& member : memory.promise.members) {
    if (member == memory.candidate || cut_off_.contains(member)) {
      out_of_its_reach += 1;
    } else {
      const Instant could_act_since =
          std::max({stop_.when, world_.pgkeel_well_since(), world_.server(member)->undisturbed_since});
      had_no_time |= could_act_since == Instant::max() || world_.queue.now() - could_act_since < kTimeToCutOff;
    }
  }
  return out_of_its_reach < positions_needed(memory.promise) && had_no_time;
}

void DurabilityCheckers::proven_stopped(const Server& server) {
  // Who has noticed that it ran again reads the positions anew.
  if (disk_.memory.phase == Phase::kFencing && stop_.server == &server && epoch_ == disk_.memory.epoch)
    newest_ = std::max(newest_, acknowledged_beside_);
  acknowledged_beside_ = 0;
  if (epoch_ != disk_.memory.epoch) cut_off_.clear();
  epoch_ = disk_.memory.epoch;
  stop_ = {&server, server.incarnation, world_.queue.now()};
}

void DurabilityCheckers::cut_off(const std::string& standby) {
  if (epoch_ != disk_.memory.epoch) {
    cut_off_.clear();
    stop_ = {};
  }
  epoch_ = disk_.memory.epoch;
  cut_off_.insert(standby);
}

void DurabilityCheckers::stored(bool chosen_by_operator) {
  if (!world_.keeps_commits()) return;
  if (chosen_by_operator) {  // who chooses a node accepts what is lost
    newest_ = 0;
    was_led_to_.fill(false);
  }
  const Server* led_to = leader();
  if (led_to != nullptr) was_led_to_[led_to->number] = is_open(disk_.memory.phase);
  if (led_to != nullptr && newest_ != 0 && !holds(*led_to, newest_)) {
    world_.violated("the acknowledged write " + std::to_string(newest_) + " is lost: " + led_to->name +
                    " is chosen without it");
  }
  check_promises();
}

void DurabilityCheckers::check_promises() const {
  if (newest_ == 0) return;
  check_promise(disk_.memory);
  if (disk_.or_else && disk_.or_else->primary == disk_.memory.primary) check_promise(*disk_.or_else);
}

void DurabilityCheckers::check_promise(const ClusterMemory& memory) const {
  const SyncQuorum& promise = memory.promise;
  std::size_t holders = 0;
  for (const auto& member : promise.members) {
    const Server* server = world_.server(member);
    if (server != nullptr && holds(*server, newest_)) holders += 1;
  }
  if (holders >= promise.acks) return;
  std::string members;
  for (const auto& member : promise.members) members += " " + member;
  world_.violated("promised is that any " + std::to_string(promise.acks) + " of" + members +
                  " hold every acknowledged write, but only " + std::to_string(holders) + " of them have " +
                  std::to_string(newest_));
}

void DurabilityCheckers::candidate_is_told(const Server& candidate, const Quorum& standby_names) {
  const Quorum& loaded = candidate.sync.loaded();
  if (loaded.meddling != 0 || loaded.same_value(standby_names)) return;
  world_.violated(candidate.name + " is told to promote with synchronous_standby_names = '" + text_of(loaded) +
                  "' instead of '" + text_of(standby_names) + "'");
}

bool DurabilityCheckers::all_standbys_are_safe() const {
  const ClusterMemory& memory = disk_.memory;
  return !world_.keeps_commits() || std::ranges::all_of(world_.servers, [&](const Server& server) {
    return server.priority == 0 || server.name == memory.primary || memory.promise.contains(server.name);
  });
}

}  // namespace pgkeel::simulation
