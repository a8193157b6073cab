#include "tests/simulation/executor.h"

#include <utility>

namespace pgkeel::simulation {

using namespace std::chrono_literals;

namespace {

constexpr Duration kStatementLimit = 1s;
constexpr Duration kPoll = 20ms;

}  // namespace

ActionStatus failed(const Action& action, std::string message) {
  ActionStatus outcome;
  outcome.action = action;
  outcome.message = std::move(message);
  return outcome;
}

ActionStatus succeeded(const Action& action) {
  ActionStatus outcome;
  outcome.action = action;
  outcome.succeeded = true;
  return outcome;
}

void Executor::start(const Action& action, Done report) {
  const bool is_host_job = action.kind == ActionKind::kFence || action.kind == ActionKind::kRejoin ||
                           action.kind == ActionKind::kStartServer || action.kind == ActionKind::kExamine;
  if (is_host_job) {
    checkers_.host_job_started(action.node);
    broken_off_.erase(action.node);
    copying_.erase(action.node);
  }
  const Done done = [this, is_host_job, report = std::move(report)](const ActionStatus& outcome) {
    if (is_host_job) checkers_.host_job_ended(outcome.action.node);
    report(outcome);
  };
  switch (action.kind) {
    case ActionKind::kProbe:
      return;  // the process asks by itself
    case ActionKind::kFence:
      return fence(action, done);
    case ActionKind::kPromote:
      return promote(action, done);
    case ActionKind::kFollow:
      return follow(action, done);
    case ActionKind::kRejoin:
      return rejoin(action, done);
    case ActionKind::kStartServer:
      return start_server(action, done);
    case ActionKind::kExamine:
      return examine(action, done);
    case ActionKind::kDropSlot:
      return drop_slot(action, done);
    case ActionKind::kKeepSlot:
      return keep_slot(action, done);
    case ActionKind::kSetStandbyNames:
      return set_standby_names(action, done);
    case ActionKind::kCutOff:
      return cut_off(action, done);
  }
}

void Executor::break_off(const Action& action) {
  broken_off_.insert(action.node);
  if (const auto copying = copying_.find(action.node); copying != copying_.end()) copying->second();
}

Duration Executor::delay_to(std::size_t node) {
  if (world_.random.chance(0.02)) return world_.random.between(50ms, 800ms);
  if (world_.servers[node].local) return world_.random.between(50us, 500us);
  return world_.random.between(world_.setting.network_delay / 2, world_.setting.network_delay * 3 / 2);
}

// A statement: `work` is done on the server at some moment or never, whatever pgkeel hears of it.
void Executor::sql(std::size_t node, std::function<void(Server&)> work, Answer answered) {
  auto once = std::make_shared<Answer>(
      [answered = std::move(answered), told = std::make_shared<bool>(false), life = life_, this](bool well) {
        if (std::exchange(*told, true) || life != life_) return;
        answered(well);
      });
  world_.queue.after(kStatementLimit, [once] { (*once)(false); });
  const Instant given_up_at = world_.queue.now() + world_.random.between(0s, 8s);
  auto shared = std::make_shared<std::function<void(Server&)>>(std::move(work));
  world_.queue.after(delay_to(node),
                     [this, node, shared, once, given_up_at] { deliver(node, shared, once, given_up_at); });
}

// Through a cut it is sent again and again, also after pgkeel has given up; a stopped server finds it when it goes on.
void Executor::deliver(std::size_t node, std::shared_ptr<std::function<void(Server&)>> work,
                       std::shared_ptr<Answer> answered, Instant given_up_at) {
  Server& there = world_.servers[node];
  const bool reachable = world_.connected(world_.pgkeel(), node) && !there.host_down;
  if (reachable && there.state != ProcessState::kRunning) {
    world_.queue.after(delay_to(node), [answered] { (*answered)(false); });
    return;
  }
  if (!reachable || there.hung) {
    if (world_.queue.now() >= given_up_at && !there.hung) return;
    world_.queue.after(200ms, [=, this, incarnation = there.incarnation] {
      if (world_.servers[node].incarnation == incarnation) deliver(node, work, answered, given_up_at);
    });
    return;
  }
  (*work)(there);
  if (world_.random.chance(0.03)) return;  // the answer is lost
  world_.queue.after(delay_to(node), [answered] { (*answered)(true); });
}

// A step of a job of this process: it ends with it.
void Executor::job(Duration time, std::function<void()> next) {
  world_.queue.after(time, [this, next = std::move(next), life = life_] {
    if (life == life_) next();
  });
}

void Executor::wait_until(std::function<bool()> good, std::function<bool()> bad, Instant limit, Answer done) {
  job(kPoll, [=, this] {
    if (good()) return done(true);
    if (bad() || world_.queue.now() >= limit) return done(false);
    wait_until(good, bad, limit, done);
  });
}

void Executor::fence(const Action& action, const Done& done) {
  Server& node = server(action.node);
  const auto report = [this, action, done](FenceStrength strength, std::uint32_t incarnation_before) {
    checkers_.fence_reported(server(action.node).number, strength, incarnation_before);
    ActionStatus outcome =
        strength == FenceStrength::kNone ? failed(action, "could not be reached") : succeeded(action);
    outcome.fence = strength;
    done(outcome);
  };
  if (!node.local) return fence_by_sql(node.number, report);
  const bool in_vain = world_.random.chance(0.03);
  const bool told_wrong = world_.random.chance(0.02);
  job(world_.random.between(2ms, 80ms), [=, this] {
    Server& there = server(action.node);
    if (in_vain) return job(1s, [report] { report(FenceStrength::kNone, 0); });
    const std::uint32_t before = there.incarnation;
    if (world_.mutant != Mutant::kFenceLies) there.die();
    job(world_.random.between(1ms, 20ms), [=, this] {
      const bool stopped = server(action.node).state == ProcessState::kDead || world_.mutant == Mutant::kFenceLies;
      report(stopped && !told_wrong ? FenceStrength::kProvenStopped : FenceStrength::kNone, before);
    });
  });
}

void Executor::fence_by_sql(std::size_t node,
                            const std::function<void(FenceStrength strength, std::uint32_t)>& report) {
  const auto weak_if = [report](bool well) { report(well ? FenceStrength::kWeak : FenceStrength::kNone, 0); };
  sql(
      node, [](Server& there) { there.sync.alter_system(quorum_of(kFencingStandbyName)); },
      [=, this](bool well) {
        if (!well) return weak_if(false);
        sql(
            node,
            [](Server& there) {
              there.sync.reload();
              there.sync.end_sessions();
            },
            weak_if);
      });
}

void Executor::follow(const Action& action, const Done& done) {
  const std::size_t node = server(action.node).number;
  const std::size_t upstream = server(action.upstream).number;
  sql(
      upstream, [node](Server& there) { there.slots.insert(node); },
      [=, this](bool well) {
        if (!well) return done(failed(action, "no slot"));
        sql(
            node,
            [upstream](Server& there) {
              if (!there.has_slot_name || !there.named) there.streaming = false;
              there.upstream_file = upstream;
              there.has_slot_name = true;
              there.named = true;
              there.read_conninfo_later();
            },
            [=](bool told) { done(told ? succeeded(action) : failed(action, "no answer")); });
      });
}

void Executor::rejoin(const Action& action, const Done& done) {
  job(world_.random.between(1ms, 10ms), [=, this] {
    Server& node = server(action.node);
    if (node.cleanly_stopped && !action.old_primary) return done(failed(action, "it was shut down cleanly"));
    node.die();
    const Server& upstream = server(action.upstream);
    if (!upstream.writable() || !world_.connected(node.number, upstream.number))
      return done(failed(action, "the primary cannot be reached"));
    bool copy = node.half_rebuilt || !node.wal.is_prefix_of(upstream.wal) || !node.wal.can_stream_from(upstream.wal);
    if (world_.mutant == Mutant::kRejoinInPlace) copy = false;
    if (copy) {
      node.half_rebuilt = true;
      checkers_.durability.files_changed();
    }
    const Duration time = !copy                       ? Duration(10ms)
                          : world_.random.chance(0.1) ? world_.random.between(4s, 15s)
                                                      : world_.random.between(100ms, 2s);
    const auto ended = std::make_shared<bool>(false);
    const auto once = [ended] { return !std::exchange(*ended, true); };
    copying_[action.node] = [=, this] {
      job(kPoll, [=] {
        if (once()) done(failed(action, "broken off"));
      });
    };
    job(time, [=, this] {
      if (once()) copy_and_start(action, done, copy);
    });
  });
}

void Executor::copy_and_start(const Action& action, const Done& done, bool copy) {
  Server& node = server(action.node);
  Server& upstream = server(action.upstream);
  if (node.state != ProcessState::kDead) return done(failed(action, "somebody started it"));
  if (!upstream.writable() || !world_.connected(node.number, upstream.number) || world_.random.chance(0.03))
    return done(failed(action, "the primary was lost"));
  const Wal own = node.wal;
  node.become_standby_of(upstream);
  if (!copy) node.wal = own;
  if (world_.mutant == Mutant::kRejoinInPlace) node.wal.timeline = std::min(node.wal.timeline, upstream.wal.timeline);
  upstream.slots.insert(node.number);
  node.start();
  wait_for_start(action, done);
}

void Executor::start_server(const Action& action, const Done& done) {
  job(world_.random.between(5ms, 50ms), [=, this] {
    Server& node = server(action.node);
    if (node.half_rebuilt) return done(failed(action, "a rewind was cut off"));
    if (node.cleanly_stopped && node.state == ProcessState::kDead)
      return done(failed(action, "it was shut down cleanly"));
    if (world_.random.chance(0.05)) return done(failed(action, "could not start"));
    node.start();
    wait_for_start(action, done);
  });
}

void Executor::wait_for_start(const Action& action, const Done& done) {
  wait_until(
      [=, this] { return server(action.node).up(); },
      [=, this] { return server(action.node).state == ProcessState::kDead || broken_off_.contains(action.node); },
      world_.queue.now() + 10s,
      [=](bool started) { done(started ? succeeded(action) : failed(action, "it does not come up")); });
}

void Executor::examine(const Action& action, const Done& done) {
  job(world_.random.between(5ms, 50ms), [=, this] {
    const Server& node = server(action.node);
    ActionStatus outcome = succeeded(action);
    outcome.examination = {.proven_stopped = node.state == ProcessState::kDead,
                           .shut_down_cleanly = node.cleanly_stopped,
                           .timeline = node.wal.timeline,
                           .end_of_wal = node.wal.end()};
    done(outcome);
  });
}

void Executor::keep_slot(const Action& action, const Done& done) {
  const auto of = static_cast<std::size_t>(action.slot.back() - 'a');
  sql(
      server(action.node).number, [of](Server& there) { there.slots.insert(of); },
      [=](bool well) { done(well ? succeeded(action) : failed(action, "no answer")); });
}

void Executor::drop_slot(const Action& action, const Done& done) {
  const auto of = static_cast<std::size_t>(action.slot.back() - 'a');
  sql(
      server(action.node).number, [of](Server& there) { there.slots.erase(of); },
      [=](bool well) { done(well ? succeeded(action) : failed(action, "no answer")); });
}

}  // namespace pgkeel::simulation
