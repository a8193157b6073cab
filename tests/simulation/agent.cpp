#include "tests/simulation/agent.h"

#include <chrono>

#include "tests/simulation/server.h"
#include "tests/simulation/world.h"

namespace pgkeel::simulation {

using namespace std::chrono_literals;

namespace {
constexpr Duration kLookInterval = 500ms;
constexpr std::uint64_t kOwnJob = 1;  // no id that pgkeel gives
}  // namespace

Agent::Agent(World& world, Server& server) : world_(world), server_(server), work_(world, server) {}

void Agent::start() {
  if (up_ || server_.host_down) return;
  world_.trace([&] { return server_.name + ": its agent starts"; });
  up_ = true;
  life_ += 1;
  if (job_.state == JobState::kRunning) job_.state = JobState::kInterrupted;
  pgkeel_heard_at_ = world_.queue.now();
  ended_at_.reset();
  if (world_.setting.fence_timeout > Duration::zero())
    world_.queue.after(kLookInterval, [this, life = life_] { fence_if_unheard(life); });
}

void Agent::die() {
  if (!up_) return;
  world_.trace([&] { return server_.name + ": its agent dies"; });
  up_ = false;
  work_.die();
}

void Agent::pgkeel_called() {
  pgkeel_heard_at_ = world_.queue.now();
}

AgentWord Agent::word() const {
  AgentWord word;
  if (server_.state == ProcessState::kDead) {
    word.ended_at = ended_at_;
    return word;
  }
  const Duration since_boot = server_.started_at.time_since_epoch();
  word.postmaster =
      AgentWord::Postmaster{.pid = static_cast<std::int32_t>(server_.postmaster),
                            .started_at = std::chrono::duration_cast<std::chrono::seconds>(since_boot).count(),
                            .port = server_.address.port,
                            .uptime = world_.queue.now() - server_.started_at};
  return word;
}

void Agent::postmaster_ended() {
  if (up_) ended_at_ = world_.queue.now();
}

std::optional<std::uint64_t> Agent::order(std::uint64_t id, const Action& action) {
  if (job_.id == id) return id;
  if (job_.state == JobState::kRunning) {
    const bool same_work = job_.action.kind == action.kind && job_.action.upstream == action.upstream &&
                           job_.action.rebuild == action.rebuild;
    return same_work ? std::optional(job_.id) : std::nullopt;
  }
  carry_out(id, action);
  return id;
}

void Agent::carry_out(std::uint64_t id, const Action& action) {
  job_ = {.id = id, .action = action, .state = JobState::kRunning, .outcome = {}};
  work_.start(action, [this](const HostWork::Outcome& outcome) {
    job_.outcome = outcome;
    job_.state = JobState::kDone;
  });
}

// Nobody can tell it to stop, and perhaps another node was promoted.
void Agent::fence_if_unheard(std::uint64_t life) {
  if (life != life_ || !up_) return;
  const bool unheard = world_.queue.now() - pgkeel_heard_at_ >= world_.setting.fence_timeout;
  const bool takes_writes = server_.state != ProcessState::kDead && !server_.standby_signal;
  if (unheard && takes_writes && job_.state != JobState::kRunning) {
    world_.trace([&] { return server_.name + ": its agent has heard no pgkeel for too long, and stops it"; });
    carry_out(kOwnJob, make_action(ActionKind::kFence, server_.name, 0));
  }
  world_.queue.after(kLookInterval, [this, life] { fence_if_unheard(life); });
}

}  // namespace pgkeel::simulation
