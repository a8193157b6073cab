#include "tests/simulation/executor.h"

#include <memory>
#include <utility>

#include "replication/model/slot_name.h"

namespace pgkeel::simulation {

using namespace std::chrono_literals;

namespace {

constexpr Duration kPoll = 20ms;

}  // namespace

Executor::Executor(World& world, Checkers& checkers) : world_(world), checkers_(checkers) {
  for (auto& node : world.servers) {
    own_work_.emplace_back(world, node);
    lines_.emplace_back(world, node.number, life_);
  }
}

void Executor::process_ended() {
  life_ += 1;
  for (auto& work : own_work_) work.die();
  for (auto& line : lines_) line.process_ended();
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
  lines_[server(action.node).number].checkpoint(
      [](Server&) {}, [=](bool well) { done(well ? succeeded(action) : failed(action, "no answer")); });
}

void Executor::keep_slot(const Action& action, const Done& done) {
  const auto is_taken = std::make_shared<bool>(false);
  sql(
      server(action.node).number,
      [this, action, is_taken](Server& there) {
        if (!action.slot.starts_with(kSlotPrefix)) {
          *is_taken = action.is_new && there.slots_of_others.contains(action.slot);
          if (!*is_taken) checkers_.slots.keep(there, action);
          return;
        }
        there.slots.insert(static_cast<std::size_t>(action.slot.back() - 'a'));
      },
      [=](bool well) {
        ActionStatus outcome = well ? succeeded(action) : failed(action, "no answer");
        outcome.name_is_taken = well && *is_taken;
        done(outcome);
      });
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
