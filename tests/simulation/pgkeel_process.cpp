#include "tests/simulation/pgkeel_process.h"

#include <algorithm>
#include <utility>

#include "replication/sync/sync_planner.h"

namespace pgkeel::simulation {

using namespace std::chrono_literals;

namespace {

struct ProcessKilled {};

std::string text_of_quorum(const SyncQuorum& quorum) {
  std::string text = std::to_string(quorum.acks) + "(";
  for (const auto& member : quorum.members) text += member;
  return text + ")";
}

std::string text_of(const ClusterMemory& memory) {
  std::string text = std::string(phase_name(memory.phase)) + " epoch=" + std::to_string(memory.epoch) +
                     " primary=" + memory.primary + " candidate=" + memory.candidate +
                     " abandoned=" + memory.abandoned_candidate + " timeline=" + std::to_string(memory.timeline);
  text += " promise=" + text_of_quorum(memory.promise) + " names=" + text_of_quorum(memory.standby_names);
  for (const auto& [name, node] : memory.nodes) {
    if (node.old_primary) text += " old=" + name;
  }
  return text + ": " + memory.reason;
}

}  // namespace

PgkeelProcess::PgkeelProcess(World& world)
    : world_(world),
      checkers_(world, disk_),
      workers_(world, checkers_),
      agent_links_(world),
      executor_(world, checkers_) {
  world_.on_death = [this](std::size_t node) { node_died(node); };
  world_.pgkeel_well_since = [this] { return well_since(); };
  world_.on_files_changed = [this] { checkers_.durability.files_changed(); };
  agent_links_.on_change = [this] { on_control([this] { step(); }); };
  agent_links_.on_death = [this](std::size_t node, const AgentEvidence::Death& death) {
    // The word may have been long on its way: an answer to a probe that began after the death is newer.
    if (!views_[node].facts || views_[node].facts_at <= death.when) postmaster_died(node, death.when, death.detail);
    probe_at(node, world_.queue.now());
  };
  workers_.on_bytes = [this](std::size_t node) { detectors_[node].heard_from(world_.queue.now()); };
  workers_.on_broken_link = [this](std::size_t node) { on_control([this, node] { probe(node); }); };
}

void PgkeelProcess::start(const std::string& adopt) {
  if (running()) return;
  life_ += 1;
  effects_left_ = 0;
  shown_meddlings_.clear();
  started_at_ = world_.queue.now();
  asleep_until_ = {};
  was_asleep_ = false;
  world_.trace([&] { return "pgkeel: starts with " + text_of(disk_.memory); });
  if (disk_.or_else) disk_.or_else.reset();
  FailoverPolicy policy = world_.setting.policy;
  policy.adopt = adopt;
  controller_ =
      std::make_unique<ClusterController>("orders", policy, disk_.memory, *this, decision_core(world_.mutant));
  checkers_.process_started();
  workers_.start();
  agent_links_.start();
  const Instant now = world_.queue.now();
  detectors_.clear();
  views_.clear();
  probes_.assign(world_.servers.size(), {});
  for (const auto& server : world_.servers) {
    detectors_.emplace_back(world_.setting.detection, now);
    NodeView view;
    view.name = server.name;
    view.address = server.address;
    view.priority = server.priority;
    views_.push_back(std::move(view));
    probe_at(server.number, now + world_.random.between(0ms, 50ms));
  }
  step();
}

Server* PgkeelProcess::primary_server() const {
  return world_.server(memory().primary);
}

void PgkeelProcess::kill() {
  if (!running()) return;
  world_.trace([] { return "pgkeel: killed"; });
  life_ += 1;
  controller_.reset();
  workers_.stop();
  agent_links_.stop();
  executor_.process_ended();
  checkers_.process_ended();
}

void PgkeelProcess::sleep(Duration time) {
  world_.trace([&] { return "pgkeel: sleeps for " + format_duration(time); });
  asleep_until_ = std::max(asleep_until_, world_.queue.now() + time);
  was_asleep_ = true;
}

Instant PgkeelProcess::well_since() const {
  const bool well = running() && disk_mode == DiskMode::kWorks && controller_->state_error().empty();
  return well ? std::max(started_at_, asleep_until_) : Instant::max();
}

Condition PgkeelProcess::condition() const {
  return running() ? controller_->last_decision().condition : Condition::kNoRoute;
}

bool PgkeelProcess::serves_normally() const {
  return condition() == Condition::kNormal && workers_.all_lead_to(controller_->memory().primary);
}

bool PgkeelProcess::carries_out_orders() const {
  return std::ranges::any_of(memory().orders,
                             [](const OperatorOrder& order) { return order.state == OrderState::kRunning; });
}

void PgkeelProcess::give_order(const OperatorOrder& order) {
  on_control([this, order] {
    if (controller_->is_storing()) {
      world_.queue.after(10ms, [this, order, life = life_] {
        if (life == life_) give_order(order);
      });
      return;
    }
    look();
    try {
      const OrderAnswer answer = controller_->give_order(order, false, views_, world_.queue.both_clocks());
      world_.trace([&] { return "the operator's order is " + (answer.accepted ? "accepted" : answer.reason); });
    } catch (const ProcessKilled&) {
      return kill();
    }
    step();
  });
}

std::string PgkeelProcess::summary() const {
  if (!running()) return "not running";
  const Decision& decision = controller_->last_decision();
  std::string text = std::string(condition_name(decision.condition)) + ": " + decision.summary;
  for (const auto& [name, note] : decision.notes) text += " | " + name + ": " + note;
  return text;
}

void PgkeelProcess::wake_up() {
  was_asleep_ = false;
  for (auto& detector : detectors_) detector.stalled(world_.queue.now());
}

// What the monitor knows by now.
void PgkeelProcess::look() {
  const Instant now = world_.queue.now();
  for (std::size_t i = 0; i < views_.size(); ++i) {
    views_[i].suspicion = detectors_[i].suspicion(now);
    views_[i].local_doubt = agent_links_.doubt(i);
    views_[i].local = world_.servers[i].host != Host::kForeign && views_[i].local_doubt.empty();
    if (world_.mutant == Mutant::kSilenceIsDeath && !views_[i].local_doubt.empty())
      views_[i].suspicion.liveness = Liveness::kDead;
  }
}

void PgkeelProcess::step() {
  if (!running()) return;
  checkers_.stepped();
  look();
  const Now now = world_.queue.both_clocks();
  try {
    controller_->step(views_, now);
  } catch (const ProcessKilled&) {
    return kill();
  }
  count_meddlings();
  wake_later();
}

void PgkeelProcess::wake_later() {
  const Instant now = world_.queue.now();
  Instant wake_at = controller_->decide_again_at();
  for (const auto& detector : detectors_) wake_at = std::min(wake_at, detector.next_change(now));
  wake_timer_ += 1;
  if (wake_at == Instant::max()) return;
  world_.queue.at(std::max(wake_at, now + 1us), [this, timer = wake_timer_, life = life_] {
    if (timer != wake_timer_ || life != life_) return;
    on_control([this] { step(); });
  });
}

// ---- effects -------------------------------------------------------------------------------------------------------

void PgkeelProcess::effect() {
  if (effects_left_ > 0 && --effects_left_ == 0) throw ProcessKilled{};
}

Result<ClusterController::Storing> PgkeelProcess::store(const ClusterMemory& memory) {
  effect();
  if (disk_mode == DiskMode::kFull) return Error{"no space left on device"};
  if (disk_mode == DiskMode::kUnsure && world_.random.chance(0.7)) {
    if (world_.random.chance(0.5)) {
      const ClusterMemory before = std::exchange(disk_.memory, memory);
      if (!disk_.or_else) disk_.or_else = before;
    }
    return Error{"input/output error"};
  }
  if (world_.setting.store_takes_time) {
    answer_later(memory);
    return ClusterController::Storing::kUnderWay;
  }
  write(memory);
  effect();
  return ClusterController::Storing::kDurable;
}

void PgkeelProcess::answer_later(const ClusterMemory& memory) {
  const Duration takes =
      world_.random.chance(0.05) ? world_.random.between(20ms, 500ms) : world_.random.between(1ms, 20ms);
  world_.queue.after(takes, [this, memory, life = life_] {
    if (life != life_) return;  // it was not sent yet
    const ClusterMemory known = disk_.or_else ? *disk_.or_else : disk_.memory;
    write(memory);
    disk_.or_else = known;  // asleep, it has not heard of it
    on_control([this] {
      disk_.or_else.reset();
      try {
        effect();
        controller_->stored({}, world_.queue.both_clocks());
      } catch (const ProcessKilled&) {
        return kill();
      }
      step();
    });
  });
}

void PgkeelProcess::write(const ClusterMemory& memory) {
  world_.trace([&] { return "pgkeel: stores " + text_of(memory); });
  ClusterMemory written = memory;
  if (world_.mutant == Mutant::kCandidateForgotten && written.phase == Phase::kPromoting) {
    written.phase = Phase::kFencing;
    written.candidate.clear();
  }
  if (world_.mutant == Mutant::kEpochForgotten && written.epoch > 1) written.epoch -= world_.random.below(2);
  if (world_.mutant == Mutant::kWeakeningLate && !implies(memory.promise, disk_.memory.promise)) {
    written.promise = disk_.memory.promise;
    world_.queue.after(world_.random.between(10ms, 1s), [this, weakened = memory.promise, life = life_] {
      if (life == life_) disk_.memory.promise = weakened;
    });
  }
  if (world_.mutant == Mutant::kKeptSlotsForgotten) written.kept_slots.clear();
  if (world_.mutant == Mutant::kStoreLost && world_.random.chance(0.3)) return;
  if (world_.mutant == Mutant::kStoreLate) {
    world_.queue.after(world_.random.between(10ms, 300ms), [this, written, life = life_] {
      if (life == life_) disk_.memory = written;
    });
    return;
  }
  disk_.memory = written;
  disk_.or_else.reset();
  const Phase before = controller_->memory().phase;
  checkers_.stored(before, controller_->last_decision().transition);
  if (before == Phase::kFencing && memory.phase == Phase::kPromoting) {
    const bool was_awake = world_.queue.now() - asleep_until_ > 2s;
    checkers_.candidate_chosen(was_awake && !world_.setting.probes_get_lost);
  }
  if (memory.phase != before) world_.on_transition();
}

void PgkeelProcess::publish_route(const RouteOrder& order) {
  effect();
  world_.trace([&] {
    return "pgkeel: publishes " + (order.node.empty() ? "nowhere" : order.node) + ", epoch " +
           std::to_string(order.epoch) + (order.reason.empty() ? "" : ": " + order.reason);
  });
  checkers_.published(order);
  workers_.publish(order, [this, order] {
    on_control([this, order] {
      controller_->route_applied(order);
      step();
    });
    if (order.mode == RouteMode::kDraining) drain_later(order);
  });
  effect();
}

// Clients end their transactions, at some time.
void PgkeelProcess::drain_later(const RouteOrder& order) {
  world_.queue.after(world_.random.between(0ms, 3s), [this, order, life = life_] {
    if (life != life_) return;
    on_control([this, order] {
      controller_->route_drained(order);
      step();
    });
  });
}

void PgkeelProcess::start(const Action& action) {
  effect();
  checkers_.action_started(action);
  const std::size_t node = static_cast<std::size_t>(action.node[0] - 'a');
  if (action.kind == ActionKind::kProbe) {
    // As the monitor does it: asked at once, or again after the probe that runs. To be asked is all that is reported.
    if (probes_[node].running) {
      probes_[node].wanted_again = true;
    } else {
      probe_at(node, world_.queue.now() + 1us);
    }
    ActionStatus asked;
    asked.action = action;
    asked.succeeded = true;
    world_.queue.after(0us, [this, asked, life = life_] {
      if (life != life_) return;
      on_control([this, asked] {
        controller_->finished(asked, world_.queue.both_clocks());
        step();
      });
    });
    return;
  }
  world_.trace([&] { return "pgkeel: " + std::string(action_name(action.kind)) + " " + action.node; });
  executor_.start(action, views_[node].local, [this, life = life_](const ActionStatus& outcome) {
    if (life != life_) return;
    on_control([this, outcome] {
      controller_->finished(outcome, world_.queue.both_clocks());
      step();
    });
  });
  effect();
}

void PgkeelProcess::break_off(const Action& action) {
  effect();
  world_.trace([&] { return "pgkeel: breaks off " + std::string(action_name(action.kind)) + " " + action.node; });
  executor_.break_off(action);
  effect();
}

void PgkeelProcess::record(const Event& event) {
  checkers_.event_recorded();
  world_.trace([&] { return "pgkeel:     [" + event.kind + "] " + event.text; });
}

}  // namespace pgkeel::simulation
