// What simulated pgkeel sees: probes and the deaths of postmasters, as the monitor does it.
#include <algorithm>
#include <utility>

#include "tests/simulation/pgkeel_process.h"

namespace pgkeel::simulation {

using namespace std::chrono_literals;

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
  if (lossy && world_.random.chance(0.004)) return probe_ends(node, ProbeOutcome::kOwnTrouble, nullptr);
  const Duration there = lossy && world_.random.chance(0.04)       ? world_.random.between(20ms, 1500ms)
                         : world_.servers[node].host == Host::kOwn ? world_.random.between(100us, 2ms)
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
                        : server.host == Host::kOwn         ? world_.random.between(100us, 2ms)
                                                            : world_.setting.network_delay;
  Instant answered_at = world_.queue.now() + back;
  ProbeOutcome outcome = ProbeOutcome::kTimedOut;
  std::shared_ptr<const NodeFacts> facts;
  const bool reachable = world_.connected(world_.pgkeel(), node) && !server.host_down;
  if (!reachable || server.hung || answered_at > given_up_at || (lossy && world_.random.chance(0.006))) {
    answered_at = given_up_at;
  } else if (server.state == ProcessState::kRunning) {
    outcome = ProbeOutcome::kAnswered;
    facts = std::make_shared<const NodeFacts>(server.facts());
  } else {
    outcome = server.state == ProcessState::kDead ? ProbeOutcome::kRefused : ProbeOutcome::kStarting;
  }
  world_.queue.at(answered_at, [this, node, outcome, facts = std::move(facts), shown = server.sync.meddlings_shown(),
                                life = life_]() mutable {
    if (life != life_) return;
    on_control([this, node, outcome, facts = std::move(facts), shown]() mutable {
      const bool has_facts = facts != nullptr;
      probe_ends(node, outcome, std::move(facts));
      if (!has_facts || !acts_on(node)) return;
      shown_meddlings_.insert(shown_meddlings_.end(), shown.begin(), shown.end());
      count_meddlings();
    });
  });
}

// What it was shown, and has acted on.
void PgkeelProcess::count_meddlings() {
  if (!running() || controller_->is_storing()) return;
  for (const std::uint32_t meddling : shown_meddlings_) world_.meddlings[meddling] = true;
  shown_meddlings_.clear();
}

void PgkeelProcess::probe_ends(std::size_t node, ProbeOutcome outcome, std::shared_ptr<const NodeFacts> facts) {
  Probe& probe = probes_[node];
  const Instant now = world_.queue.now();
  probe.running = false;
  Observation observation;
  observation.node = views_[node].name;
  observation.started_at = probe.started_at;
  observation.finished_at = now;
  observation.outcome = outcome;
  detectors_[node].observed(observation);
  observation.facts = std::move(facts);
  agent_links_.probe_answered(node, observation);
  if (observation.facts) {
    views_[node].facts = std::move(observation.facts);
    views_[node].facts_at = probe.started_at;
  }
  const Instant regular = probe.started_at + world_.setting.detection.interval;
  const Instant next = probe.wanted_again ? now : std::min(regular, detectors_[node].confirm_probe_at());
  probe_at(node, std::max(next, now));
  step();
}

// What the facts of this node mean for its standbys is written down by now.
bool PgkeelProcess::acts_on(std::size_t node) const {
  if (!running()) return false;
  const Phase phase = controller_->memory().phase;
  return disk_mode == DiskMode::kWorks && (phase == Phase::kSteady || phase == Phase::kDraining) &&
         controller_->last_decision().route_node == world_.servers[node].name;
}

void PgkeelProcess::node_died(std::size_t node) {
  const Server& server = world_.servers[node];
  if (const auto& agent = world_.agents[node]) agent->postmaster_ended();
  if (!running()) return;
  if (server.host == Host::kOwn && world_.setting.postmaster_watched)
    postmaster_died(node, world_.queue.now(), "its postmaster died");
  agent_links_.server_died(node);
  if (world_.connected(world_.pgkeel(), node) && !server.host_down) probe_at(node, world_.queue.now() + 200us);
}

void PgkeelProcess::postmaster_died(std::size_t node, Instant when, std::string detail) {
  on_control([this, node, when, detail = std::move(detail)] {
    detectors_[node].postmaster_died(when, detail);
    // Never from inside an effect of this very process.
    world_.queue.after(0us, [this, life = life_] {
      if (life == life_) on_control([this] { step(); });
    });
  });
}

}  // namespace pgkeel::simulation
