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
    : world_(world), checkers_(world, disk_), workers_(world, checkers_), executor_(world, checkers_) {
  world_.on_death = [this](std::size_t node) { node_died(node); };
  workers_.on_bytes = [this](std::size_t node) { detectors_[node].heard_from(world_.queue.now()); };
  workers_.on_broken_link = [this](std::size_t node) { on_control([this, node] { probe(node); }); };
}

void PgkeelProcess::start(const std::string& adopt) {
  if (running()) return;
  life_ += 1;
  effects_left_ = 0;
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
    view.local = server.local;
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

std::string PgkeelProcess::summary() const {
  if (!running()) return "not running";
  const Decision& decision = controller_->last_decision();
  std::string text = std::string(condition_name(decision.condition)) + ": " + decision.summary;
  for (const auto& [name, note] : decision.notes) text += " | " + name + ": " + note;
  return text;
}

// Runs on the control thread of this life, when it is awake.
void PgkeelProcess::on_control(std::function<void()> work) {
  if (!running()) return;
  if (world_.queue.now() < asleep_until_) {
    world_.queue.at(asleep_until_, [this, work = std::move(work), life = life_]() mutable {
      if (life == life_) on_control(std::move(work));
    });
    return;
  }
  if (std::exchange(was_asleep_, false)) {
    for (auto& detector : detectors_) detector.stalled(world_.queue.now());
  }
  work();
}

void PgkeelProcess::step() {
  if (!running()) return;
  checkers_.stepped();
  const Now now = world_.queue.both_clocks();
  for (std::size_t i = 0; i < views_.size(); ++i) views_[i].suspicion = detectors_[i].suspicion(now.instant);
  try {
    controller_->step(views_, now);
  } catch (const ProcessKilled&) {
    return kill();
  }
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

Result<void> PgkeelProcess::store(const ClusterMemory& memory) {
  effect();
  if (disk_mode == DiskMode::kFull) return Error{"no space left on device"};
  if (disk_mode == DiskMode::kUnsure && world_.random.chance(0.7)) {
    if (world_.random.chance(0.5)) {
      const ClusterMemory before = std::exchange(disk_.memory, memory);
      if (!disk_.or_else) disk_.or_else = before;
    }
    return Error{"input/output error"};
  }
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
  if (world_.mutant == Mutant::kStoreLost && world_.random.chance(0.3)) return {};
  if (world_.mutant == Mutant::kStoreLate) {
    world_.queue.after(world_.random.between(10ms, 300ms), [this, written, life = life_] {
      if (life == life_) disk_.memory = written;
    });
    return {};
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
  effect();
  return {};
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
  });
  effect();
}

void PgkeelProcess::start(const Action& action) {
  effect();
  checkers_.action_started(action.kind);
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
  executor_.start(action, [this, life = life_](const ActionStatus& outcome) {
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

// ---- what it sees --------------------------------------------------------------------------------------------------

void PgkeelProcess::probe_at(std::size_t node, Instant when) {
  const std::uint64_t timer = ++probes_[node].timer;
  world_.queue.at(when, [this, node, timer, life = life_] {
    if (life != life_) return;
    on_control([this, node, timer] {
      if (timer == probes_[node].timer) probe(node);
    });
  });
}

void PgkeelProcess::probe(std::size_t node) {
  Probe& probe = probes_[node];
  if (probe.running) {
    probe.wanted_again = true;
    return;
  }
  probe.running = true;
  probe.wanted_again = false;
  probe.started_at = world_.queue.now();
  probe.timer += 1;
  const bool lossy = world_.setting.probes_get_lost;
  if (lossy && world_.random.chance(0.004)) return probe_ends(node, ProbeOutcome::kOwnTrouble, std::nullopt);
  const Duration there = lossy && world_.random.chance(0.04) ? world_.random.between(20ms, 1500ms)
                         : world_.servers[node].local        ? world_.random.between(100us, 2ms)
                                                             : world_.setting.network_delay;
  world_.queue.after(there, [this, node, life = life_] {
    if (life == life_) probe_arrives(node);
  });
}

void PgkeelProcess::probe_arrives(std::size_t node) {
  const Server& server = world_.servers[node];
  const Instant given_up_at = probes_[node].started_at + world_.setting.detection.probe_timeout;
  const bool lossy = world_.setting.probes_get_lost;
  const Duration back = lossy && world_.random.chance(0.04) ? world_.random.between(20ms, 1500ms)
                        : server.local                      ? world_.random.between(100us, 2ms)
                                                            : world_.setting.network_delay;
  Instant answered_at = world_.queue.now() + back;
  ProbeOutcome outcome = ProbeOutcome::kTimedOut;
  std::optional<NodeFacts> facts;
  const bool reachable = world_.connected(world_.pgkeel(), node) && !server.host_down;
  if (!reachable || server.hung || answered_at > given_up_at || (lossy && world_.random.chance(0.006))) {
    answered_at = given_up_at;
  } else if (server.state == ProcessState::kRunning) {
    outcome = ProbeOutcome::kAnswered;
    facts = server.facts();
  } else {
    outcome = server.state == ProcessState::kDead ? ProbeOutcome::kRefused : ProbeOutcome::kStarting;
  }
  world_.queue.at(answered_at, [this, node, outcome, facts = std::move(facts), shown = server.sync.meddlings_shown(),
                                life = life_]() mutable {
    if (life != life_) return;
    on_control([this, node, outcome, facts = std::move(facts), shown]() mutable {
      const bool has_facts = facts.has_value();
      probe_ends(node, outcome, std::move(facts));
      if (!has_facts || !acts_on(node)) return;
      for (const std::uint32_t meddling : shown) world_.meddlings[meddling] = true;
    });
  });
}

void PgkeelProcess::probe_ends(std::size_t node, ProbeOutcome outcome, std::optional<NodeFacts> facts) {
  Probe& probe = probes_[node];
  const Instant now = world_.queue.now();
  probe.running = false;
  Observation observation;
  observation.node = views_[node].name;
  observation.started_at = probe.started_at;
  observation.finished_at = now;
  observation.outcome = outcome;
  detectors_[node].observed(observation);
  if (facts) {
    views_[node].facts = std::move(facts);
    views_[node].facts_at = probe.started_at;
  }
  const Instant regular = probe.started_at + world_.setting.detection.interval;
  const Instant next = probe.wanted_again ? now : std::min(regular, detectors_[node].confirm_probe_at());
  probe_at(node, std::max(next, now));
  step();
}

// What the facts of this node mean for its standbys is written down by now.
bool PgkeelProcess::acts_on(std::size_t node) const {
  return running() && disk_mode == DiskMode::kWorks && controller_->memory().phase == Phase::kSteady &&
         controller_->last_decision().route_node == world_.servers[node].name;
}

void PgkeelProcess::node_died(std::size_t node) {
  const Server& server = world_.servers[node];
  if (!running()) return;
  if (server.local && world_.setting.postmaster_watched) {
    on_control([this, node] {
      detectors_[node].postmaster_died(world_.queue.now(), "its postmaster died");
      // Never from inside an effect of this very process.
      world_.queue.after(0us, [this, life = life_] {
        if (life == life_) on_control([this] { step(); });
      });
    });
  }
  if (world_.connected(world_.pgkeel(), node) && !server.host_down) probe_at(node, world_.queue.now() + 200us);
}

}  // namespace pgkeel::simulation
