#include "tests/simulation/schedule.h"

#include "tests/simulation/faults.h"
#include "tests/simulation/operator.h"
#include "tests/simulation/pgkeel_process.h"
#include "tests/simulation/single_faults.h"
#include "tests/simulation/slot_readers.h"

namespace pgkeel::simulation {

using namespace std::chrono_literals;

namespace {

constexpr Duration kQuietBefore = 2s;
constexpr Duration kPatience = 8min;          // until a healed world must be normal; retries wait up to a minute
constexpr Duration kQuietAfter = 1s;          // normal for so long
constexpr Duration kTimeToSwitchBack = 100s;  // to the preferred node, after all was healed: it needs a minute of quiet

void start_servers(World& world) {
  for (auto& server : world.servers) {
    if (server.number != 0) {
      server.standby_signal = true;
      server.upstream_file = 0;
      server.named = true;
      server.has_slot_name = world.random.chance(0.7);
      if (server.has_slot_name) world.servers[0].slots.insert(server.number);
    } else if (world.random.chance(0.7)) {
      server.sync.alter_system(world.operators_quorum(server.number));
    }
    server.start();
    if (const auto& agent = world.agents[server.number]) agent->start();
  }
}

void replicate_for_ever(World& world, std::size_t number) {
  world.servers[number].replicate();
  const Duration turn = world.setting.replication_turn;
  world.queue.after(world.random.between(turn / 2, turn * 3 / 2),
                    [&world, number] { replicate_for_ever(world, number); });
}

void checkpoint_for_ever(World& world, std::size_t number) {
  world.servers[number].checkpoint();
  world.queue.after(world.random.between(500ms, 8s), [&world, number] { checkpoint_for_ever(world, number); });
}

// Clients that connect to the servers themselves: they are promised the same. Some do not wait for their commits, and
// some are cancelled while they wait.
void write_beside_for_ever(World& world, Checkers& checkers) {
  for (auto& server : world.servers) {
    if (!server.writable() || world.random.chance(0.5)) continue;
    if (!world.keeps_commits() || world.random.chance(0.3)) {
      server.write();
      continue;
    }
    const RecordId record = world.records_made + 1;
    server.commit([&checkers, number = server.number, record](std::uint32_t meddling) {
      checkers.acknowledged(number, record, meddling);
    });
    if (world.random.chance(0.05)) server.sync.cancel_one();
  }
  world.queue.after(world.random.between(100ms, 1s), [&world, &checkers] { write_beside_for_ever(world, checkers); });
}

void play_to_the_end(World& world, PgkeelProcess& pgkeel, ScheduleResult& result) {
  start_servers(world);
  for (std::size_t i = 0; i < world.servers.size(); ++i) {
    replicate_for_ever(world, i);
    checkpoint_for_ever(world, i);
  }
  write_beside_for_ever(world, pgkeel.checkers());
  pgkeel.start();
  SlotReaders readers(world, pgkeel);
  readers.begin();
  const auto run_until = [&](Instant until) {
    while (world.queue.run_next(until)) {
    }
  };
  run_until(world.queue.now() + kQuietBefore);
  Operator mender(world, pgkeel);
  Faults faults(world, pgkeel, mender);
  SingleFaults single_faults(world, pgkeel, mender);
  if (world.setting.one_fault_at_a_time) {
    single_faults.begin();
    while (!single_faults.over()) run_until(world.queue.now() + 1s);
    if (world.setting.policy.durability == Durability::kAvailable) result.longest_hang = single_faults.longest_hang();
  } else {
    const Instant faults_end = world.queue.now() + world.setting.faults_for;
    faults.begin(faults_end);
    run_until(faults_end);
  }
  faults.heal();

  const Instant healed_at = world.queue.now();
  Instant normal_since = Instant::max();
  while (true) {
    const Instant now = world.queue.now();
    const bool normal = pgkeel.serves_normally() && pgkeel.checkers().durability.all_standbys_are_safe() &&
                        pgkeel.last_acknowledged() > healed_at && !pgkeel.carries_out_orders();
    if (!normal) {
      normal_since = Instant::max();
    } else if (normal_since == Instant::max()) {
      normal_since = now;
    }
    const std::string& preferred = world.setting.policy.preferred;
    const bool may_switch_back =
        !preferred.empty() && preferred != pgkeel.memory().primary && now - healed_at < kTimeToSwitchBack;
    if (normal && !may_switch_back && now - normal_since >= kQuietAfter) break;
    if (now - healed_at > kPatience)
      world.violated("not normal again " + format_duration(kPatience) +
                     " after everything was healed: " + pgkeel.summary());
    run_until(now + 250ms);
  }
  result.healed_after = normal_since - healed_at;
}

}  // namespace

ScheduleResult play(std::uint64_t seed, Mutant mutant, bool traced) {
  ScheduleResult result;
  World world(seed, mutant, traced);
  PgkeelProcess pgkeel(world);
  try {
    play_to_the_end(world, pgkeel, result);
  } catch (const Violation& violation) {
    result.violation = violation.what();
  } catch (const GivenUp& given_up) {
    result.given_up = given_up.what();
  }
  result.reached = pgkeel.checkers().reached();
  result.decisions = pgkeel.checkers().steps();
  result.failovers = pgkeel.checkers().failovers();
  result.promised_writes = pgkeel.checkers().promised();
  return result;
}

}  // namespace pgkeel::simulation
