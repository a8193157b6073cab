#include "tests/simulation/host_work.h"

#include <algorithm>
#include <memory>
#include <utility>

#include "tests/simulation/server.h"
#include "tests/simulation/world.h"

namespace pgkeel::simulation {

using namespace std::chrono_literals;

namespace {
constexpr Duration kPoll = 20ms;
constexpr Duration kStartLimit = 10s;
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

void HostWork::start(const Action& action, Done done) {
  broken_off_ = false;
  end_copy_ = nullptr;
  switch (action.kind) {
    case ActionKind::kFence:
      return fence(action, done);
    case ActionKind::kRejoin:
      return rejoin(action, done);
    case ActionKind::kStartServer:
      return start_server(action, done);
    case ActionKind::kStopServer:
      return stop_server(action, done);
    case ActionKind::kExamine:
      return examine(action, done);
    default:
      return;  // no job of a host
  }
}

void HostWork::break_off() {
  broken_off_ = true;
  if (end_copy_) end_copy_();
}

void HostWork::die() {
  life_ += 1;
  end_copy_ = nullptr;
}

void HostWork::later(Duration pause, std::function<void()> next) {
  world_.queue.after(pause, [this, next = std::move(next), life = life_] {
    if (life == life_) next();
  });
}

void HostWork::wait_until(std::function<bool()> good, std::function<bool()> bad, Instant limit,
                          std::function<void(bool)> done) {
  later(kPoll, [=, this] {
    if (good()) return done(true);
    if (bad() || world_.queue.now() >= limit) return done(false);
    wait_until(good, bad, limit, done);
  });
}

void HostWork::fence(const Action& action, const Done& done) {
  const bool in_vain = world_.random.chance(0.03);
  const bool told_wrong = world_.random.chance(0.02);
  later(world_.random.between(2ms, 80ms), [=, this] {
    if (in_vain) return later(1s, [=] { done({failed(action, "could not be stopped"), 0}); });
    const std::uint32_t before = server_.incarnation;
    if (world_.mutant != Mutant::kFenceLies) server_.die();
    later(world_.random.between(1ms, 20ms), [=, this] {
      const bool stopped = server_.state == ProcessState::kDead || world_.mutant == Mutant::kFenceLies;
      if (!stopped || told_wrong) return done({failed(action, "it may run"), 0});
      ActionStatus outcome = succeeded(action);
      outcome.fence = FenceStrength::kProvenStopped;
      done({outcome, before});
    });
  });
}

void HostWork::rejoin(const Action& action, const Done& done) {
  later(world_.random.between(1ms, 10ms), [=, this] {
    if (action.provision) return done({failed(action, "its data directory is not empty"), 0});
    const bool may_rest = !action.old_primary && !action.ordered && !server_.half_rebuilt;
    if (server_.cleanly_stopped && may_rest) return done({failed(action, "it was shut down cleanly"), 0});
    server_.die();
    const Server& upstream = *world_.server(action.upstream);
    if (!upstream.writable() || !world_.connected(server_.number, upstream.number))
      return done({failed(action, "the primary cannot be reached"), 0});
    bool copy = action.rebuild || server_.half_rebuilt || !server_.wal.is_prefix_of(upstream.wal) ||
                !server_.wal.can_stream_from(upstream.wal);
    if (world_.mutant == Mutant::kRejoinInPlace) copy = false;
    if (copy) {
      server_.half_rebuilt = true;
      world_.on_files_changed();
    }
    const Duration time = !copy                       ? Duration(10ms)
                          : world_.random.chance(0.1) ? world_.random.between(4s, 15s)
                                                      : world_.random.between(100ms, 2s);
    const auto ended = std::make_shared<bool>(false);
    const auto once = [ended] { return !std::exchange(*ended, true); };
    end_copy_ = [=, this] {
      later(kPoll, [=] {
        if (once()) done({failed(action, "broken off"), 0});
      });
    };
    later(time, [=, this] {
      if (once()) copy_and_start(action, done, copy);
    });
  });
}

void HostWork::copy_and_start(const Action& action, const Done& done, bool copy) {
  Server& upstream = *world_.server(action.upstream);
  if (server_.state != ProcessState::kDead) return done({failed(action, "somebody started it"), 0});
  if (!upstream.writable() || !world_.connected(server_.number, upstream.number) || world_.random.chance(0.03))
    return done({failed(action, "the primary was lost"), 0});
  const Wal own = server_.wal;
  server_.become_standby_of(upstream);
  if (!copy) server_.wal = own;
  if (world_.mutant == Mutant::kRejoinInPlace)
    server_.wal.timeline = std::min(server_.wal.timeline, upstream.wal.timeline);
  upstream.slots.insert(server_.number);
  server_.start();
  wait_for_start(action, done);
}

void HostWork::start_server(const Action& action, const Done& done) {
  later(world_.random.between(5ms, 50ms), [=, this] {
    if (server_.half_rebuilt) return done({failed(action, "a rewind was cut off"), 0});
    if (server_.cleanly_stopped && server_.state == ProcessState::kDead && !action.ordered)
      return done({failed(action, "it was shut down cleanly"), 0});
    if (world_.random.chance(0.05)) return done({failed(action, "could not start"), 0});
    server_.start();
    wait_for_start(action, done);
  });
}

// What was shut down is said to be so only where it was looked at afterwards.
void HostWork::stop_server(const Action& action, const Done& done) {
  const bool in_vain = world_.random.chance(0.03);
  later(world_.random.between(5ms, 300ms), [=, this] {
    if (in_vain || server_.hung) return later(1s, [=] { done({failed(action, "it does not stop"), 0}); });
    shut_down();
    examine(action, done);
  });
}

// A walsender ends when its standby has all, the shutdown checkpoint included; one that is gone is not waited for.
void HostWork::shut_down() {
  if (server_.state == ProcessState::kDead) return;
  const bool recovered = server_.up();
  if (server_.writable()) server_.write();
  for (auto& other : world_.servers) {
    const bool receives = recovered && other.streaming && other.upstream == server_.number && other.up() &&
                          world_.connected(server_.number, other.number);
    if (receives && other.wal.is_prefix_of(server_.wal))
      other.wal.receive_from(server_.wal, server_.wal.records.size());
  }
  world_.trace([&] { return server_.name + ": is shut down"; });
  server_.die();
  server_.cleanly_stopped = recovered;
}

void HostWork::wait_for_start(const Action& action, const Done& done) {
  wait_until([this] { return server_.up(); }, [this] { return server_.state == ProcessState::kDead || broken_off_; },
             world_.queue.now() + kStartLimit,
             [=](bool started) {
               done({started ? succeeded(action) : failed(action, "it does not come up"), 0});
             });
}

void HostWork::examine(const Action& action, const Done& done) {
  later(world_.random.between(5ms, 50ms), [=, this] {
    ActionStatus outcome = succeeded(action);
    outcome.examination = {.proven_stopped = server_.state == ProcessState::kDead,
                           .shut_down_cleanly = server_.cleanly_stopped,
                           .timeline = server_.wal.timeline,
                           .end_of_wal = server_.wal.end()};
    done({outcome, 0});
  });
}

}  // namespace pgkeel::simulation
