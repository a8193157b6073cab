#include "tests/simulation/single_faults.h"

#include <utility>

namespace pgkeel::simulation {

using namespace std::chrono_literals;

namespace {
constexpr Duration kLook = 100ms;
constexpr Duration kMostToNormal = 8min;  // retries wait up to a minute
constexpr Duration kMostToService = 60s;
constexpr Duration kMostHanging = 8s;       // commits, while a standby does not acknowledge
constexpr Duration kMostHangingLate = 12s;  // … and processes of the primary read their settings late
constexpr Duration kQuiet = 1s;
}  // namespace

SingleFaults::SingleFaults(World& world, PgkeelProcess& pgkeel, Operator& mender)
    : world_(world), pgkeel_(pgkeel), operator_(mender), faults_left_(1 + world.random.below(4)) {}

void SingleFaults::begin() {
  operator_.begin_mending();
  world_.on_transition = [this] {
    if (!over() && world_.random.chance(0.15))
      world_.queue.after(world_.random.between(0ms, 300ms), [this] { disturb_pgkeel(); });
  };
  enter(Stage::kWaitsForNormal);
  look();
}

void SingleFaults::look() {
  if (over()) return;
  watch_for_hanging_commits();
  watch_for_needless_failover();
  switch (stage_) {
    case Stage::kWaitsForNormal:
      wait_for_normal();
      break;
    case Stage::kFailed:
      wait_for_service();
      break;
    case Stage::kServedWithoutIt:
      if (now() >= mend_at_) mend();
      break;
  }
  world_.queue.after(kLook, [this] { look(); });
}

void SingleFaults::enter(Stage stage) {
  stage_ = stage;
  stage_since_ = now();
}

void SingleFaults::wait_for_normal() {
  // An order that a stalled pgkeel has not begun is no effect of the next fault.
  const bool normal = pgkeel_.serves_normally() && !pgkeel_.carries_out_orders() &&
                      pgkeel_.checkers().durability.all_standbys_are_safe() &&
                      pgkeel_.last_acknowledged() > stage_since_;
  if (!normal) {
    normal_since_ = Instant::max();
    if (now() - stage_since_ > kMostToNormal) {
      world_.violated("not normal " + format_duration(kMostToNormal) +
                      " after the only fault was mended: " + pgkeel_.summary());
    }
    return;
  }
  normal_since_ = std::min(normal_since_, now());
  if (now() - normal_since_ >= kQuiet + world_.random.between(0ms, 500ms)) strike();
}

void SingleFaults::strike() {
  Server& primary = *pgkeel_.primary_server();
  Server& node = world_.random.chance(0.6) ? primary : world_.any_server();
  failed_ = node.number;
  must_serve_ = true;
  must_acknowledge_ = true;
  operator_.leave_alone(failed_);
  if (&node == &primary) {
    strike_primary(node);
  } else {
    strike_standby(node, primary);
  }
  if (world_.random.chance(0.15)) disturb_pgkeel();
  // Strictly, commits wait for a standby that can be promoted; by an operator's setting, for whomever it names.
  std::size_t promotable = 0;
  for (const auto& server : world_.servers) {
    if (server.priority > 0 && server.number != failed_) promotable += 1;
  }
  if (world_.setting.policy.durability == Durability::kStrict && promotable < 2) must_acknowledge_ = false;
  if (!world_.keeps_commits() && &node != &primary) must_acknowledge_ = false;
  normal_since_ = Instant::max();
  enter(Stage::kFailed);
}

void SingleFaults::strike_primary(Server& node) {
  switch (world_.random.below(8)) {
    case 0:
      return node.die();
    case 1:
      return take_host_down(node);
    case 2:
      world_.trace([&] { return node.name + ": hangs"; });
      node.hung = true;
      return;
    case 3:
      return node.crash_and_restart();
    case 4:
      // Its clients have no way to it, and what is to become of it the configuration says.
      cut(node.number, world_.pgkeel());
      must_serve_ = false;
      must_acknowledge_ = false;
      return;
    case 5:
      return strike_agent(node);
    case 6:
      return order_failover();
    default:
      return isolate(node);
  }
}

void SingleFaults::strike_standby(Server& node, Server& primary) {
  switch (world_.random.below(8)) {
    case 0:
      return node.die();
    case 1:
      return take_host_down(node);
    case 2:
      world_.trace([&] { return node.name + ": hangs"; });
      node.hung = true;
      return;
    case 3:
      return cut(node.number, primary.number);
    case 4:
      world_.trace([&] { return node.name + ": its disk stands still"; });
      node.disk_slow_until = now() + 20s;
      return;
    case 5:
      return node.crash_and_restart();
    case 6:
      return strike_agent(node);
    default:
      return isolate(node);
  }
}

void SingleFaults::take_host_down(Server& node) {
  world_.trace([&] { return node.name + ": its host is down"; });
  node.die();
  node.host_down = true;
  if (const auto& agent = world_.agents[node.number]) agent->die();
}

// The server lives, and so does the cluster; where there is no agent, the server fails.
void SingleFaults::strike_agent(Server& node) {
  const auto& agent = world_.agents[node.number];
  if (agent == nullptr) return node.die();
  const bool dies = world_.random.chance(0.5);
  if (dies || world_.setting.fence_timeout == Duration::zero()) epoch_must_stay_ = pgkeel_.memory().epoch;
  if (dies) return agent->die();
  cut(world_.pgkeel(), world_.agent_of(node.number));
}

// In both directions, or in one.
void SingleFaults::cut(std::size_t left, std::size_t right) {
  const double kind = world_.random.fraction();
  if (kind < 0.25) std::swap(left, right);
  world_.trace([&] {
    return kind < 0.5 ? "cut: from " + world_.peer_name(left) + " to " + world_.peer_name(right)
                      : "cut: " + world_.peer_name(left) + " and " + world_.peer_name(right);
  });
  world_.cut_one_way(left, right, true);
  if (kind >= 0.5) world_.cut_one_way(right, left, true);
}

// Nothing fails: an operator wants another primary at once.
void SingleFaults::order_failover() {
  operator_.leave_alone(std::nullopt);
  OperatorOrder order;
  order.kind = OrderKind::kFailover;
  operator_.give(order);
}

void SingleFaults::isolate(Server& node) {
  world_.trace([&] { return node.name + ": is cut off from everybody"; });
  for (std::size_t other = 0; other <= world_.pgkeel(); ++other) {
    if (other != node.number) world_.cut(node.number, other, true);
  }
  world_.cut(world_.pgkeel(), world_.agent_of(node.number), true);
}

void SingleFaults::disturb_pgkeel() {
  if (world_.random.chance(0.3)) return pgkeel_.sleep(world_.random.between(100ms, 2s));
  if (world_.random.chance(0.1)) return world_.queue.jump_wall_clock(world_.random.between(-20min, 20min));
  if (world_.random.chance(0.1)) {
    pgkeel_.disk_mode = world_.random.chance(0.5) ? DiskMode::kFull : DiskMode::kUnsure;
    return world_.queue.after(world_.random.between(500ms, 3s), [this] { pgkeel_.disk_mode = DiskMode::kWorks; });
  }
  if (world_.random.chance(0.5)) {
    pgkeel_.kill_after_effects(1 + world_.random.below(12));
    world_.queue.after(2s, [this] { pgkeel_.kill_after_effects(0); });
  } else {
    pgkeel_.kill();
  }
  for (const Duration pause : {world_.random.between(20ms, 2s), Duration(3s)}) {
    world_.queue.after(pause, [this] { pgkeel_.start(); });
  }
}

// Without the failed node, as long as it takes.
void SingleFaults::wait_for_service() {
  const Server* routed = pgkeel_.primary_server();
  const bool leads = routed != nullptr && routed->writable() && pgkeel_.leads_to(routed->name) &&
                     world_.connected(routed->number, world_.pgkeel());
  const bool acknowledges = pgkeel_.last_acknowledged() > stage_since_ + 1s;
  const bool served = (leads || !must_serve_) && (acknowledges || !must_acknowledge_);
  if (served) {
    mend_at_ = now() + world_.random.between(0s, 8s);
    return enter(Stage::kServedWithoutIt);
  }
  if (now() - stage_since_ <= kMostToService) return;
  world_.violated("clients are not served " + format_duration(kMostToService) + " after " +
                  world_.servers[failed_].name + " alone failed: " + pgkeel_.summary());
}

void SingleFaults::mend() {
  Server& node = world_.servers[failed_];
  world_.trace([&] { return node.name + ": is mended"; });
  node.hung = false;
  node.host_down = false;
  node.disk_slow_until = {};
  world_.heal_network();
  operator_.leave_alone(std::nullopt);
  epoch_must_stay_.reset();
  faults_left_ -= 1;
  enter(Stage::kWaitsForNormal);
}

void SingleFaults::watch_for_needless_failover() const {
  if (epoch_must_stay_ && pgkeel_.memory().epoch != *epoch_must_stay_)
    world_.violated("a failover although only the agent of " + world_.servers[failed_].name + " failed");
}

Duration SingleFaults::most_hanging() const {
  return world_.setting.settings_are_read_late ? kMostHangingLate : kMostHanging;
}

// Under durability = available a standby that does not acknowledge is released.
void SingleFaults::watch_for_hanging_commits() {
  const Server* routed = pgkeel_.primary_server();
  if (world_.setting.policy.durability != Durability::kAvailable || routed == nullptr || !routed->writable()) return;
  const auto waits_since = routed->sync.oldest_waits_since();
  if (!waits_since || !pgkeel_.leads_to(routed->name) || !world_.connected(routed->number, world_.pgkeel())) return;
  const Instant well_since = std::max({*waits_since, pgkeel_.well_since(), stage_since_});
  if (well_since == Instant::max() || well_since > now()) return;
  longest_hang_ = std::max(longest_hang_, now() - well_since);
  if (now() - well_since <= most_hanging()) return;
  world_.violated("commits hang for " + format_duration(now() - well_since) + " on " + routed->name + ": " +
                  pgkeel_.summary());
}

}  // namespace pgkeel::simulation
