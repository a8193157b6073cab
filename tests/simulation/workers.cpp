#include "tests/simulation/workers.h"

#include <algorithm>
#include <memory>

namespace pgkeel::simulation {

using namespace std::chrono_literals;

void Workers::start() {
  life_ += 1;
  for (std::size_t i = 0; i < workers_.size(); ++i) {
    workers_[i] = {.route = {}, .sessions = workers_[i].sessions + 1, .newest_apply = world_.queue.now()};
    write_later(i);
  }
}

void Workers::stop() {
  life_ += 1;
  for (auto& worker : workers_) worker = {.route = {}, .sessions = worker.sessions + 1, .newest_apply = {}};
}

void Workers::publish(const RouteOrder& order, std::function<void()> applied_by_all) {
  const auto left = std::make_shared<std::size_t>(workers_.size());
  const auto done = std::make_shared<std::function<void()>>(std::move(applied_by_all));
  for (std::size_t i = 0; i < workers_.size(); ++i) {
    const Duration delay =
        world_.random.chance(0.05) ? world_.random.between(50ms, 1s) : world_.random.between(0ms, 5ms);
    Instant& newest = workers_[i].newest_apply;
    newest = std::max(newest, world_.queue.now() + delay);
    world_.queue.at(newest, [this, i, order, left, done, life = life_] {
      if (life != life_) return;
      const bool keeps = world_.mutant == Mutant::kWorkerKeepsRoute && i == 1 && order.node.empty();
      if (!keeps) apply(i, order);
      if (--*left == 0 && world_.mutant != Mutant::kRouteNotAwaited) (*done)();
    });
  }
  if (world_.mutant == Mutant::kRouteNotAwaited)
    world_.queue.after(1us, [done, life = life_, this] {
      if (life == life_) (*done)();
    });
}

void Workers::apply(std::size_t number, const RouteOrder& order) {
  world_.trace([&] {
    return "worker " + std::to_string(number) + ": route " + (order.node.empty() ? "nowhere" : order.node) +
           ", epoch " + std::to_string(order.epoch);
  });
  Worker& worker = workers_[number];
  if (worker.route.epoch != order.epoch || worker.route.node != order.node) worker.sessions += 1;
  worker.route = order;
  checkers_.applied(number, order);
}

bool Workers::all_lead_to(const std::string& node) const {
  return std::ranges::all_of(workers_, [&](const Worker& worker) { return worker.route.node == node; });
}

void Workers::write_later(std::size_t number) {
  const Duration pause =
      world_.random.between(world_.setting.between_writes / 2, world_.setting.between_writes * 3 / 2);
  world_.queue.after(pause, [this, number, life = life_] {
    if (life != life_) return;
    write(number);
    write_later(number);
  });
}

void Workers::write(std::size_t number) {
  Worker& worker = workers_[number];
  if (worker.route.node.empty()) return;
  const auto node = static_cast<std::size_t>(worker.route.node[0] - 'a');
  Server& server = world_.servers[node];
  if (!world_.reaches(world_.pgkeel(), node) || server.host_down || server.hung) return;
  const bool is_heard = world_.reaches(node, world_.pgkeel());
  if (server.state != ProcessState::kRunning) {
    if (is_heard) on_broken_link(node);
    return;
  }
  if (is_heard) on_bytes(node);
  if (!server.writable()) return;  // 25006
  checkers_.client_wrote(number, node);
  const RecordId record = world_.records_made + 1;
  server.commit([this, number, node, record, sessions = worker.sessions](std::uint32_t meddling) {
    if (workers_[number].sessions != sessions || !world_.reaches(node, world_.pgkeel())) return;
    last_acknowledged_ = world_.queue.now();
    checkers_.durability.acknowledged_to_client(world_.servers[node], record, meddling);
    checkers_.acknowledged(node, record, meddling);
  });
}

}  // namespace pgkeel::simulation
