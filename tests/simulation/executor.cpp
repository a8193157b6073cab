#include "tests/simulation/executor.h"

#include <utility>

#include "replication/model/slot_name.h"

namespace pgkeel::simulation {

using namespace std::chrono_literals;

namespace {

constexpr Duration kStatementLimit = 1s;
constexpr Duration kPoll = 20ms;

}  // namespace

Executor::Executor(World& world, Checkers& checkers) : world_(world), checkers_(checkers) {
  for (auto& node : world.servers) own_work_.emplace_back(world, node);
}

void Executor::process_ended() {
  life_ += 1;
  for (auto& work : own_work_) work.die();
}

void Executor::start(const Action& action, bool host_in_reach, const Done& report) {
  switch (action.kind) {
    case ActionKind::kProbe:
      return;  // the process asks by itself
    case ActionKind::kFence:
    case ActionKind::kRejoin:
    case ActionKind::kStartServer:
    case ActionKind::kStopServer:
    case ActionKind::kExamine:
      return start_host_job(action, host_in_reach, report);
    case ActionKind::kPromote:
      return promote(action, report);
    case ActionKind::kFollow:
      return follow(action, report);
    case ActionKind::kCheckpoint:
      return checkpoint(action, report);
    case ActionKind::kDropSlot:
      return drop_slot(action, report);
    case ActionKind::kKeepSlot:
      return keep_slot(action, report);
    case ActionKind::kSetStandbyNames:
      return set_standby_names(action, report);
    case ActionKind::kCutOff:
      return cut_off(action, report);
    case ActionKind::kRelease:
      return;  // no schedule tears its cluster down
  }
}

Duration Executor::delay_to(std::size_t node) {
  if (world_.random.chance(0.02)) return world_.random.between(50ms, 800ms);
  if (world_.servers[node].host == Host::kOwn) return world_.random.between(50us, 500us);
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
  const bool reachable = world_.reaches(world_.pgkeel(), node) && !there.host_down;
  const bool is_heard = world_.reaches(node, world_.pgkeel());
  if (reachable && there.state != ProcessState::kRunning) {
    if (!is_heard) return;
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
  if (!is_heard || world_.random.chance(0.03)) return;  // the answer is lost
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

void Executor::checkpoint(const Action& action, const Done& done) {
  sql(
      server(action.node).number, [](Server&) {},
      [=](bool well) { done(well ? succeeded(action) : failed(action, "no answer")); });
}

void Executor::keep_slot(const Action& action, const Done& done) {
  sql(
      server(action.node).number,
      [this, action](Server& there) {
        if (!action.slot.starts_with(kSlotPrefix)) return checkers_.slots.keep(there, action);
        there.slots.insert(static_cast<std::size_t>(action.slot.back() - 'a'));
      },
      [=](bool well) { done(well ? succeeded(action) : failed(action, "no answer")); });
}

void Executor::drop_slot(const Action& action, const Done& done) {
  sql(
      server(action.node).number,
      [this, action](Server& there) {
        if (!action.slot.starts_with(kSlotPrefix)) return checkers_.slots.drop(there, action.slot);
        there.slots.erase(static_cast<std::size_t>(action.slot.back() - 'a'));
      },
      [=](bool well) { done(well ? succeeded(action) : failed(action, "no answer")); });
}

}  // namespace pgkeel::simulation
