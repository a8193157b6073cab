#include "tests/simulation/server.h"

#include <algorithm>
#include <utility>

#include "replication/model/action.h"
#include "tests/simulation/world.h"

namespace pgkeel::simulation {

using namespace std::chrono_literals;

namespace {

constexpr Duration kWalReceiverTimeout = 60s;
constexpr std::size_t kRecordsPerTurn = 20;
constexpr Duration kHungPoll = 100ms;  // something waits for a stopped process to go on

}  // namespace

Server::Server(World& world, std::size_t its_number, Host its_host, std::uint32_t its_priority)
    : number(its_number),
      name(1, static_cast<char>('a' + its_number)),
      address{"10.0.0." + std::to_string(its_number + 1), 5432},
      host(its_host),
      priority(its_priority),
      upstream_file(its_number),
      upstream(its_number),
      sync(world, *this),
      world_(world) {}

void Server::start() {
  if (state != ProcessState::kDead || half_rebuilt || host_down) return;
  incarnation += 1;
  postmaster += 1;
  started_at = world_.queue.now();
  cleanly_stopped = false;
  started_by_operator = false;
  hung = false;
  world_.trace([&] { return name + ": starts as a " + (standby_signal ? "standby" : "primary"); });
  recover(world_.random.chance(0.1) ? world_.random.between(1s, 6s) : world_.random.between(30ms, 500ms));
}

void Server::recover(Duration time) {
  state = ProcessState::kStarting;
  upstream = upstream_file;
  const std::uint32_t starting = incarnation;
  world_.queue.after(time, [this, starting] {
    if (incarnation != starting) return;
    if (hung) return recover(kHungPoll);
    state = ProcessState::kRunning;
    sync.started();
    replay_own_wal();
    world_.trace([&] { return name + ": accepts connections"; });
  });
}

// A standby answers as soon as it is consistent, which may be long before it has replayed all that it has.
void Server::replay_own_wal() {
  if (!standby_signal || redo >= wal.records.size() || !world_.random.chance(0.6)) return;
  replayed_of_own = redo + world_.random.below(wal.records.size() - redo);
  world_.trace([&] { return name + ": replays what it has from " + format_lsn(Wal::position(*replayed_of_own)); });
  const Duration time = world_.random.chance(0.3) ? world_.random.between(1s, 20s) : world_.random.between(50ms, 2s);
  world_.queue.after(time, [this, replaying = incarnation] { end_replay_of_own(replaying); });
}

void Server::end_replay_of_own(std::uint32_t of_incarnation) {
  if (incarnation != of_incarnation) return;
  if (hung || replay_paused)
    return world_.queue.after(kHungPoll, [this, of_incarnation] { end_replay_of_own(of_incarnation); });
  replayed_of_own.reset();
}

void Server::die() {
  if (state == ProcessState::kDead) return;
  world_.trace([&] { return name + ": dies"; });
  const Wal at_death = wal;
  state = ProcessState::kDead;
  hung = false;
  process_ended();
  // What it had sent is still on its way to its standbys.
  for (auto& other : world_.servers) {
    if (!other.streaming || other.upstream != number || !other.up() || !world_.connected(number, other.number))
      continue;
    if (!world_.random.chance(0.5)) continue;
    world_.queue.after(world_.random.between(0ms, 150ms), [&other, at_death, receiving = other.incarnation] {
      const bool receives = other.incarnation == receiving && other.standby_signal && other.up();
      if (receives && other.wal.is_prefix_of(at_death)) other.wal.receive_from(at_death, kRecordsPerTurn);
    });
  }
  world_.on_death(number);
}

void Server::crash_and_restart() {
  if (state != ProcessState::kRunning || hung) return;
  world_.trace([&] { return name + ": crashes and restarts"; });
  process_ended();
  recover(world_.random.between(100ms, 5s));
}

void Server::process_ended() {
  incarnation += 1;
  streaming = false;
  promoting = false;
  replayed_of_own.reset();
  sync.stopped();
}

void Server::begin_promotion() {
  if (!up() || !standby_signal || promoting) return;
  promoting = true;
  world_.trace([&] { return name + ": pg_promote()"; });
  const Duration time =
      world_.random.chance(0.1) ? world_.random.between(500ms, 5s) : world_.random.between(5ms, 150ms);
  world_.queue.after(time, [this, promoted = incarnation] { finish_promotion(promoted); });
}

void Server::finish_promotion(std::uint32_t of_incarnation) {
  if (incarnation != of_incarnation || !promoting) return;
  if (hung) return world_.queue.after(kHungPoll, [this, of_incarnation] { finish_promotion(of_incarnation); });
  promoting = false;
  streaming = false;
  standby_signal = false;
  replay_paused = false;
  replayed_of_own.reset();
  wal.history.push_back({wal.timeline, wal.end()});
  wal.timeline += 1;
  wal.records.push_back(++world_.records_made);
  world_.trace([&] { return name + ": is primary on timeline " + std::to_string(wal.timeline); });
}

void Server::read_conninfo_later() {
  world_.queue.after(world_.random.between(0ms, 15ms), [this, reading = incarnation] {
    if (incarnation != reading || upstream == upstream_file) return;
    upstream = upstream_file;
    streaming = false;
  });
}

// For the nodes themselves all WAL is there: only readers find that some is gone.
void Server::checkpoint() {
  if (!up()) return;
  redo = wal.records.size();
  std::size_t needed = redo;
  const std::size_t most = world_.setting.slots_keep_at_most;
  for (auto& [slot_name, slot] : slots_of_others) {
    if (!slot.restart || slot.lost) continue;
    slot.lost = most > 0 && *slot.restart + most < wal.records.size();
    // The reader has lost its place, on all nodes: where the primary keeps no more for it, nor do the copies.
    if (slot.lost && !standby_signal) world_.forget_covered(slot_name);
    if (!slot.lost) needed = std::min(needed, *slot.restart);
  }
  oldest_wal = std::max(oldest_wal, needed);
}

void Server::replicate() {
  const bool is_disturbed = !up() || replay_paused || replayed_of_own || !world_.connected(world_.pgkeel(), number);
  if (is_disturbed) undisturbed_since = world_.queue.now();
  if (!up()) return;
  sync.look_after_senders();
  if (!standby_signal) return;
  if (upstream == number || replayed_of_own) {
    streaming = false;
    return;
  }
  stream_from(world_.servers[upstream]);
}

void Server::stream_from(Server& source) {
  const Instant now = world_.queue.now();
  const bool is_heard = world_.reaches(number, source.number);
  const bool link_works = world_.reaches(source.number, number) && (streaming || is_heard);
  if (!link_works || source.hung || source.host_down) {
    if (streaming && now - last_message > kWalReceiverTimeout) streaming = false;
    return;
  }
  WalSenderProcess* sender = source.sync.sender_to(number);
  const bool connection_lost = streaming && (sender == nullptr || sender->receiver != receiver);
  if (connection_lost || source.state != ProcessState::kRunning || !wal.can_stream_from(source.wal) ||
      (has_slot_name && !source.slots.contains(number))) {
    streaming = false;
    return;
  }
  if (!wal.is_prefix_of(source.wal)) {
    // Promoted apart, so that two timelines have the same number. Its history file tells the one that it is on from
    // another one, but not where both left the one before at the very same position, nor once it has gone on to a
    // later.
    const bool may_happen = world_.setting.hand_promotions || world_.candidate_was_abandoned;
    const std::string what = name + " streams from " + source.name + ", although its WAL is not a part of it";
    if (!may_happen) world_.violated(what + ": it is corrupt");
    const bool agrees = wal.agrees_with(source.wal);
    if (agrees || wal.timeline != source.wal.timeline) throw GivenUp(what + ", and nobody could tell");
    if (!wal.mixed) world_.trace([&] { return what; });
    wal.mixed = true;
  }
  const bool news = !streaming || wal.records.size() < source.wal.records.size();
  if (!streaming) {
    receiver += 1;
    sender = &source.sync.connect(number, receiver, named ? name_bit(number) : 0, has_slot_name);
  }
  streaming = true;
  if (news || now - last_message > 15s) last_message = now;
  if (is_heard) source.sync.replied(*sender, wal.records.size());  // of what it has flushed since its last turn
  if (now < disk_slow_until) return;
  wal.receive_from(source.wal, kRecordsPerTurn);
  if (wal.records.size() == source.wal.records.size()) sender->streaming = true;
}

RecordId Server::write() {
  wal.records.push_back(++world_.records_made);
  return wal.records.back();
}

void Server::commit(SyncReplication::Acknowledged acknowledged) {
  sync.commit(write(), std::move(acknowledged));
}

void Server::become_standby_of(const Server& primary) {
  wal = primary.wal;
  half_rebuilt = false;
  standby_signal = true;
  cleanly_stopped = false;
  upstream_file = primary.number;
  named = true;
  has_slot_name = true;
  slots_of_others.clear();
  logical_slots.clear();
  redo = oldest_wal = wal.records.size();
  replay_paused = false;
  promoted_by_hand = false;
  sync.alter_system(primary.sync.file());
}

NodeFacts Server::facts() const {
  NodeFacts facts;
  facts.system_identifier = "7000";
  facts.server_version_number = 150020;
  facts.in_recovery = standby_signal;
  facts.timeline = wal.timeline;
  facts.checkpoint_timeline = wal.timeline;
  facts.timeline_history_known = !world_.random.chance(0.02);
  if (facts.timeline_history_known) facts.timeline_history = wal.history;
  facts.checkpoint_redo = Wal::position(redo);
  facts.wal_position = facts.replayed = replayed_of_own ? Wal::position(*replayed_of_own) : wal.end();
  facts.replays_own_wal = replayed_of_own.has_value();
  facts.replay_paused = replay_paused;
  facts.primary_slot_name = has_slot_name ? "pgkeel_" + name : "";
  facts.uptime = world_.queue.now() - started_at;
  facts.synchronous_standby_names = text_of(sync.shown());
  if (sync.shown().waits()) facts.backends_waiting_for_standbys = static_cast<std::uint32_t>(sync.waiting());
  if (standby_signal && streaming) {
    facts.wal_receiver_streaming = true;
    facts.wal_receiver_source = world_.servers[upstream].address;
    facts.wal_receiver_silence = world_.queue.now() - last_message;
    const Server& source = world_.servers[upstream];
    const bool waits_for_its_disk = world_.queue.now() < disk_slow_until && world_.reaches(upstream, number);
    facts.wal_receiver_written = waits_for_its_disk ? std::max(wal.end(), source.wal.end()) : wal.end();
  }
  sync.list_senders(facts.wal_senders);
  for (const std::size_t of : slots) {
    PhysicalSlot slot;
    slot.restart_lsn = facts.checkpoint_redo;
    slot.name = "pgkeel_" + world_.servers[of].name;
    for (const auto& sender : sync.senders()) {
      if (sender.node == of && sender.has_slot) slot.active_pid = sender.pid;
    }
    facts.slots.push_back(std::move(slot));
  }
  for (const auto& [slot_name, there] : slots_of_others) {
    PhysicalSlot slot;
    slot.name = slot_name;
    if (there.restart && !there.lost) slot.restart_lsn = Wal::position(*there.restart);
    if (there.restart) slot.wal_status = there.lost ? "lost" : "reserved";
    facts.slots.push_back(std::move(slot));
  }
  for (const auto& slot_name : logical_slots) {
    LogicalSlot slot;
    slot.name = slot_name;
    facts.logical_slots.push_back(std::move(slot));
  }
  return facts;
}

}  // namespace pgkeel::simulation
