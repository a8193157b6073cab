#include "tests/simulation/world.h"

#include <cstdio>

namespace pgkeel::simulation {

using namespace std::chrono_literals;

namespace {
constexpr std::size_t kMostPeers = 9;  // four nodes, their agents, and pgkeel
}

World::World(std::uint64_t seed, Mutant played_mutant, bool traced)
    : random(seed), mutant(played_mutant), traced_(traced), cuts_(kMostPeers * kMostPeers, 0) {
  draw_setting();
  setting.store_takes_time = seed % 3 == 0;
  for (std::size_t i = 0; i < setting.node_count; ++i) {
    const std::uint32_t priority = i == 2 && random.chance(0.1) ? 0 : 100;
    const double host = random.fraction();
    servers.emplace_back(*this, i, host < 0.4 ? Host::kOwn : host < 0.8 ? Host::kWithAgent : Host::kForeign, priority);
    agents.push_back(servers[i].host == Host::kWithAgent ? std::make_unique<Agent>(*this, servers[i]) : nullptr);
  }
}

void World::draw_setting() {
  const double size = random.fraction();
  setting.node_count = size < 0.45 ? 2 : size < 0.85 ? 3 : 4;
  setting.detection.failure_timeout = random.chance(0.5) ? 3s : 1s;
  setting.policy.failure_timeout = setting.detection.failure_timeout;
  setting.policy.failover_pause = random.chance(0.2) ? Duration(10min) : random.chance(0.3) ? Duration(20s) : 0s;
  setting.policy.when_path_cut = random.chance(0.3) ? PathCutPolicy::kWait : PathCutPolicy::kFailoverIfSafe;
  setting.detection.when_path_cut = setting.policy.when_path_cut;
  setting.postmaster_watched = random.chance(0.6);
  setting.fence_timeout = random.chance(0.5) ? random.between(8s, 20s) : Duration(0s);
  setting.replication_turn = random.between(20ms, 150ms);
  setting.network_delay = random.between(200us, 20ms);
  setting.between_writes = random.between(50ms, 300ms);
  setting.between_faults = random.between(1s, 5s);
  setting.faults_for = random.between(8s, 30s);
  setting.hand_promotions = random.chance(0.06);
  const double kind = random.fraction();
  setting.policy.durability = kind < 0.45   ? Durability::kAvailable
                              : kind < 0.75 ? Durability::kStrict
                                            : Durability::kAsync;
  setting.one_fault_at_a_time = random.chance(0.4);
  const bool pause_is_short = setting.policy.failover_pause < 1min;
  if (!setting.one_fault_at_a_time && pause_is_short && random.chance(0.2)) setting.policy.preferred = "a";
  setting.probes_get_lost = random.chance(0.5);
  setting.all_standbys_acknowledge = random.chance(0.6);
  setting.settings_are_read_late = random.chance(0.7);
  if (random.chance(0.2)) setting.slots_keep_at_most = 100 + random.below(300);
  if (setting.one_fault_at_a_time) {
    setting.hand_promotions = false;
    setting.policy.failover_pause = 0s;
    setting.probes_get_lost = false;
  }
  if (mutant != Mutant::kNone) make_dense();
}

// A mutant is to be found soon: more happens, in a cluster that is large enough for it.
void World::make_dense() {
  setting.between_faults /= 2;
  setting.faults_for *= 2;
  if (setting.node_count < 4 && is_about_quorums(mutant)) setting.node_count += 1;
  if (mutant == Mutant::kPartedLeft) {  // somebody has to promote two apart, and a third to follow one of them
    setting.node_count = 4;
    setting.hand_promotions = true;
    setting.one_fault_at_a_time = false;
  }
  if (mutant == Mutant::kReplayedIsAll) setting.one_fault_at_a_time = false;  // the power has to fail
  if (mutant == Mutant::kWaitingNotProven || mutant == Mutant::kOpenedAtOnce)
    setting.policy.durability = Durability::kStrict;
  if (is_about_promises(mutant) && !keeps_commits()) setting.policy.durability = Durability::kAvailable;
}

Duration World::delay_to(std::size_t server) {
  if (random.chance(0.02)) return random.between(50ms, 800ms);
  if (servers[server].host == Host::kOwn) return random.between(50us, 500us);
  return random.between(setting.network_delay / 2, setting.network_delay * 3 / 2);
}

Server* World::server(const std::string& name) {
  const auto number = static_cast<std::size_t>(name.empty() ? '~' : name[0]) - 'a';
  return number < servers.size() ? &servers[number] : nullptr;
}

std::string World::peer_name(std::size_t peer) const {
  if (peer == pgkeel()) return "pgkeel";
  return peer < pgkeel() ? servers[peer].name : "the agent of " + servers[peer - pgkeel() - 1].name;
}

bool World::reaches_agent(std::size_t server) const {
  const auto& agent = agents[server];
  return agent != nullptr && agent->up() && connected(pgkeel(), agent_of(server));
}

Quorum World::operators_quorum(std::size_t primary) const {
  Quorum quorum;
  for (const auto& server : servers) {
    if (server.number != primary) quorum.members |= name_bit(server.number);
  }
  quorum.acks = setting.all_standbys_acknowledge ? static_cast<std::uint32_t>(servers.size() - 1) : 1;
  return quorum;
}

void World::see_covered(const std::string& slot) {
  const SlotReader& reader = slot_readers.at(slot);
  // Where it has just made its slot anew, what pgkeel does still follows from the one before.
  if (queue.now() - reader.dropped_at < kStatementsAreOnTheirWay) return;
  const auto& on_its_primary = servers[reader.primary].slots_of_others;
  const auto own = on_its_primary.find(slot);
  if (own != on_its_primary.end() && own->second.lost) return;
  for (auto& server : servers) {
    const auto copy = server.slots_of_others.find(slot);
    if (!reader.reads || copy == server.slots_of_others.end() || copy->second.lost || !copy->second.restart) continue;
    if (*copy->second.restart <= reader.position && server.oldest_wal <= reader.position) copy->second.covers = true;
  }
}

void World::forget_covered(const std::string& slot) {
  for (auto& server : servers) {
    const auto copy = server.slots_of_others.find(slot);
    if (copy != server.slots_of_others.end()) copy->second.covers = false;
  }
}

bool World::reaches(std::size_t from, std::size_t to) const {
  return cuts_[from * kMostPeers + to] == 0;
}

void World::cut_one_way(std::size_t from, std::size_t to, bool is_cut) {
  cuts_[from * kMostPeers + to] = is_cut ? 1 : 0;
}

void World::heal_network() {
  cuts_.assign(cuts_.size(), 0);
}

void World::violated(const std::string& rule) {
  trace([&] { return "VIOLATION: " + rule; });
  throw Violation(rule);
}

void World::write_trace(const std::string& line) {
  const auto milliseconds = static_cast<double>(queue.now().time_since_epoch().count()) / 1e6 - 3'600'000.0;
  std::printf("%12.3f ms  %s\n", milliseconds, line.c_str());
}

}  // namespace pgkeel::simulation
