#include "tests/simulation/checkers.h"

#include <algorithm>
#include <utility>

#include "replication/decide/transitions.h"

namespace pgkeel::simulation {

using namespace std::chrono_literals;

namespace {
// Far above what probes, answers and timers of three nodes need; three changes of primary within a second, which one
// schedule in a hundred thousand plays on four nodes, are told in some 60 events.
constexpr std::uint64_t kMostStepsInSecond = 600;
constexpr std::uint64_t kMostActionsInSecond = 150;
constexpr std::uint64_t kMostEventsInSecond = 90;
}  // namespace

void Checkers::process_started() {
  routes_.assign(kWorkers, {});
  if (disk_.memory.phase == Phase::kSteady) unsettled_.reset();  // also by a store that was said to have failed
}

void Checkers::process_ended() {
  host_jobs_.clear();
  routes_.assign(kWorkers, {});
}

void Checkers::stored(Phase before, const std::string& transition) {
  const ClusterMemory& memory = disk_.memory;
  const auto rows = transitions();
  for (std::size_t i = 0; i < rows.size(); ++i) {
    if (rows[i].from == before && rows[i].to == memory.phase && rows[i].why == transition) reached_.rows.insert(i);
  }
  if (memory.epoch < newest_epoch_stored_) world_.violated("the stored epoch went back");
  newest_epoch_stored_ = memory.epoch;
  if (!memory.abandoned_candidate.empty()) world_.candidate_was_abandoned = true;
  if (memory.phase == Phase::kSteady) {
    if (unsettled_ && memory.primary == *unsettled_) failovers_ += 1;
    unsettled_.reset();
  }
  const bool chosen_by_operator = transition == "serve --adopt NODE" || transition == "resolve --keep NODE" ||
                                  (memory.phase == Phase::kPromoting && loss_is_accepted(memory));
  goes_where_ordered(before, chosen_by_operator);
  durability.stored(chosen_by_operator);
  slots.stored();
  if (!chosen_by_operator) return;  // who chooses a node accepts what is lost
  newest_timeline_written_ = 0;
  promised_by_one_.clear();
  const Server* chosen = world_.server(memory.phase == Phase::kPromoting ? memory.candidate : memory.primary);
  std::erase_if(promised_, [&](RecordId record) { return !chosen->wal.holds(record); });
}

void Checkers::published(const RouteOrder& order) {
  published_ = order;
  if (order.epoch < newest_epoch_applied_) world_.violated("the published epoch went back");
  for (auto& route : routes_) route.closing = !route.order.same_route(order);
}

void Checkers::applied(std::size_t worker, const RouteOrder& order) {
  WorkerRoute& route = routes_[worker];
  if (order.epoch < route.order.epoch) world_.violated("a worker went back to a route of an older epoch");
  newest_epoch_applied_ = std::max(newest_epoch_applied_, order.epoch);
  route = {order, !order.same_route(published_)};
  if (order.node.empty()) return;
  for (const auto& other : routes_) {
    if (!other.order.node.empty() && other.order.node != order.node)
      world_.violated("two writable routes: " + other.order.node + " and " + order.node);
  }
  const bool opened_before = node_of_epoch_.contains(order.epoch);
  std::string& node = node_of_epoch_[order.epoch];
  if (opened_before && node != order.node)
    world_.violated("epoch " + std::to_string(order.epoch) + " led to " + node + " and to " + order.node);
  node = order.node;
  if (opened_before) return;
  for (const auto& server : world_.servers) {
    if (server.name != order.node) continue;
    for (const RecordId record : promised_) {
      if (!server.wal.holds(record))
        world_.violated("the acknowledged write " + std::to_string(record) + " is lost: " + server.name +
                        " became primary without it");
    }
  }
}

// The route is the one of this memory; or it is being closed, and nobody else was promoted yet.
bool Checkers::allows(const ClusterMemory& memory, const WorkerRoute& route) {
  const bool open = memory.phase == Phase::kSteady || memory.phase == Phase::kDraining;
  if (open && memory.epoch == route.order.epoch) return memory.primary == route.order.node;
  if (memory.epoch != route.order.epoch + 1 || !route.closing) return false;
  const bool closing = memory.phase == Phase::kFencing || memory.phase == Phase::kStopping ||
                       memory.phase == Phase::kReturning || memory.phase == Phase::kStopped;
  return memory.phase == Phase::kSteady || (closing && memory.primary == route.order.node);
}

void Checkers::client_wrote(std::size_t worker, std::size_t node) {
  const WorkerRoute& route = routes_[worker];
  const Server& server = world_.servers[node];
  if (route.order.node != server.name)
    world_.violated("a client's bytes reached a node that is not its worker's route");
  if (!allows(disk_.or_else ? *disk_.or_else : disk_.memory, route)) {
    world_.violated("a client wrote to " + server.name + " in epoch " + std::to_string(route.order.epoch) +
                    ", but the state says " + phase_name(disk_.memory.phase) + ", epoch " +
                    std::to_string(disk_.memory.epoch) + ", primary " + disk_.memory.primary);
  }
  if (server.wal.timeline < newest_timeline_written_)
    world_.violated("a client wrote to timeline " + std::to_string(server.wal.timeline) + " after " +
                    std::to_string(newest_timeline_written_));
  newest_timeline_written_ = server.wal.timeline;
}

void Checkers::acknowledged(std::size_t node, RecordId record, std::uint32_t meddling) {
  if (world_.keeps_commits()) return durability.acknowledged(world_.servers[node], record, meddling);
  std::size_t holders = 0;
  for (const auto& server : world_.servers) {
    if (server.number != node && !server.half_rebuilt && server.wal.holds(record)) holders += 1;
  }
  if (holders + 1 == world_.servers.size()) {
    promised_.push_back(record);
  } else if (holders > 0) {
    promised_by_one_.push_back(record);
  }
}

// What only one standby has is kept too, where that one told its position.
void Checkers::candidate_chosen(bool positions_could_be_read) {
  const ClusterMemory& memory = disk_.memory;
  const auto newest_of = [&](const Server& server) {
    const auto held = std::ranges::find_if(promised_by_one_.rbegin(), promised_by_one_.rend(),
                                           [&](RecordId record) { return server.wal.holds(record); });
    return held == promised_by_one_.rend() ? 0 : *held;
  };
  const auto candidate =
      std::ranges::find_if(world_.servers, [&](const Server& server) { return server.name == memory.candidate; });
  const RecordId kept = newest_of(*candidate);
  for (const auto& other : world_.servers) {
    const auto marked = memory.nodes.find(other.name);
    const bool may_be_promoted = other.standby_signal && other.up() && other.priority > 0 && !other.replay_paused &&
                                 other.name != memory.primary && other.name != memory.abandoned_candidate &&
                                 other.wal.timeline == memory.timeline &&
                                 !memory.nodes_maintained.contains(other.name) &&
                                 !(marked != memory.nodes.end() && marked->second.old_primary);
    const bool could_be_asked = positions_could_be_read && world_.queue.now() - other.undisturbed_since > 2s;
    if (may_be_promoted && could_be_asked && newest_of(other) > kept)
      world_.violated(candidate->name + " is chosen, although " + other.name + " has the acknowledged write " +
                      std::to_string(newest_of(other)) + " that it lacks");
  }
  std::erase_if(promised_by_one_, [&](RecordId record) { return !candidate->wal.holds(record); });
}

void Checkers::promotion_sent(const Action& action) {
  // Where a store was reported as failed, pgkeel goes on with what it knows to be stored.
  const ClusterMemory& memory = disk_.or_else ? *disk_.or_else : disk_.memory;
  const bool is_candidate = memory.phase == Phase::kPromoting && memory.candidate == action.node;
  const bool is_primary = memory.phase == Phase::kSteady && memory.primary == action.node;
  if (memory.epoch != action.epoch || !(is_candidate || is_primary))
    world_.violated("a promotion of " + action.node + " was sent that the state does not say");
  for (const auto& route : routes_) {
    if (is_candidate && !route.order.node.empty())
      world_.violated(action.node + " is promoted while a worker still leads to " + route.order.node);
  }
  parted_.promotion_sent(action.node);
  if (is_primary) return;
  const auto [earlier, is_first] = promoted_in_epoch_.emplace(action.epoch, action.node);
  if (!is_first && earlier->second != action.node)
    world_.violated("epoch " + std::to_string(action.epoch) + " has two candidates: " + earlier->second + " and " +
                    action.node);
  if (unsettled_ && *unsettled_ != action.node && !loss_is_accepted(memory)) {
    for (const auto& server : world_.servers) {
      if (server.name == *unsettled_ && server.state != ProcessState::kDead && !server.started_by_operator)
        world_.violated(action.node + " is promoted while " + server.name + ", promoted before it, still runs");
    }
  }
  unsettled_ = action.node;
}

void Checkers::fence_reported(std::size_t node, std::uint32_t incarnation_before) {
  const Server& server = world_.servers[node];
  if (server.state != ProcessState::kDead && server.incarnation <= incarnation_before)
    world_.violated(server.name + " is said to be proven stopped, and runs");
  durability.proven_stopped(server);
}

void Checkers::host_job_started(const std::string& node) {
  if (!host_jobs_.insert(node).second) world_.violated("two jobs in the files of " + node + " at once");
}

void Checkers::stepped() {
  steps_ += 1;
  parted_.stepped();
  count(steps_in_second_, kMostStepsInSecond, "decisions");
}

void Checkers::action_started(const Action& action) {
  reached_.actions.insert(action.kind);
  rests_where_ordered(action);
  slots.action_started(action);
  parted_.action_started(action);
  count(actions_in_second_, kMostActionsInSecond, "actions");
}

// While an operator works on the servers, or has stopped them, pgkeel starts nothing of its own accord.
void Checkers::rests_where_ordered(const Action& action) const {
  const ClusterMemory& memory = disk_.or_else ? *disk_.or_else : disk_.memory;
  const bool changes_servers = action.kind == ActionKind::kFence || action.kind == ActionKind::kStartServer ||
                               action.kind == ActionKind::kRejoin || action.kind == ActionKind::kFollow ||
                               action.kind == ActionKind::kPromote;
  if (!changes_servers) return;
  const std::string what = std::string(action_name(action.kind)) + " " + action.node;
  const bool is_fence = action.kind == ActionKind::kFence;  // of an old primary that came up as a primary
  if (memory.nodes_maintained.contains(action.node) && !is_fence)
    world_.violated(what + " although it is under maintenance");
  if (memory.phase == Phase::kStopped) world_.violated(what + " although the cluster is stopped");
  const bool ordered = std::ranges::any_of(memory.orders, [](const OperatorOrder& order) {
    return order.state == OrderState::kRunning && order.kind != OrderKind::kMaintenance;
  });
  // A promotion in steady only lifts a fence by SQL.
  const bool works_on_it = memory.maintenance && memory.phase == Phase::kSteady && action.kind != ActionKind::kPromote;
  if (works_on_it && !ordered) world_.violated(what + " although the cluster is under maintenance");
}

// … fails nothing over, and starts the primary that it has stopped.
void Checkers::goes_where_ordered(Phase before, bool chosen_by_operator) {
  const ClusterMemory& memory = disk_.memory;
  const bool fails_over = memory.phase == Phase::kFencing && before != Phase::kFencing && before != Phase::kPromoting;
  const bool ordered = std::ranges::any_of(memory.orders, [](const OperatorOrder& order) {
    return order.state == OrderState::kRunning && order.kind == OrderKind::kFailover;
  });
  if (fails_over && memory.maintenance && !ordered)
    world_.violated(memory.primary + " is failed over although the cluster is under maintenance");
  if (memory.phase == Phase::kStopped) stopped_primary_ = memory.primary;
  if (memory.phase != Phase::kSteady || !stopped_primary_) return;
  const std::string stopped = *std::exchange(stopped_primary_, std::nullopt);
  const Server* started = world_.server(memory.primary);
  if (memory.primary != stopped && !chosen_by_operator && !started->promoted_by_hand)
    world_.violated(stopped + " was stopped, and " + memory.primary + " is started as the primary");
}

void Checkers::event_recorded() {
  count(events_in_second_, kMostEventsInSecond, "events");
}

void Checkers::count(std::uint64_t& counter, std::uint64_t limit, const char* what) {
  if (world_.queue.now() - second_began_ >= 1s) {
    second_began_ = world_.queue.now();
    steps_in_second_ = 0;
    actions_in_second_ = 0;
    events_in_second_ = 0;
  }
  if (++counter > limit) world_.violated(std::string("a busy loop: too many ") + what + " within a second");
}

}  // namespace pgkeel::simulation
