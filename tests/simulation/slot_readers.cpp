#include "tests/simulation/slot_readers.h"

#include <algorithm>

namespace pgkeel::simulation {

using namespace std::chrono_literals;

namespace {
constexpr const char* kOfSomebody = "mine";  // a reader's, and what somebody calls his own on a standby
}

void SlotReaders::begin() {
  for (const char* name : {"archive", kOfSomebody}) world_.slot_readers[name];
  turn();
}

void SlotReaders::turn() {
  Server* primary = pgkeel_.primary_server();
  if (primary != nullptr && primary->writable() && pgkeel_.leads_to(primary->name)) {
    for (auto& [name, slot] : primary->slots_of_others) slot.is_somebodys = false;  // it is a reader's from now on
    for (auto& [name, reader] : world_.slot_readers) {
      if (world_.queue.now() >= reader.away_until) read(name, reader, *primary);
    }
    if (world_.random.chance(0.01)) primary->logical_slots.insert("changes");
  }
  if (world_.random.chance(0.02)) somebody_makes_one();
  for (const auto& [name, reader] : world_.slot_readers) world_.see_covered(name);
  world_.queue.after(world_.random.between(100ms, 600ms), [this] { turn(); });
}

void SlotReaders::read(const std::string& name, SlotReader& reader, Server& primary) {
  if (reader.reads && reader.primary != primary.number) arrive(name, reader, primary);
  const auto slot = primary.slots_of_others.find(name);
  if (slot == primary.slots_of_others.end()) {
    // Made on two nodes while their probes are under way, the one there before and the one here after, it looks like a
    // copy that pgkeel is about to make: nobody could tell.
    const bool is_just_made_elsewhere =
        name == kOfSomebody && world_.queue.now() - somebody_made_one_at_ < world_.setting.detection.probe_timeout;
    if (!is_just_made_elsewhere && world_.random.chance(reader.reads ? 0.05 : 0.2)) make_slot(name, reader, primary);
    return;
  }
  if (slot->second.lost || !slot->second.restart) {
    drop_slot(name, reader, primary);
    return;
  }
  reader.reads = true;
  reader.primary = primary.number;
  reader.timeline = primary.wal.timeline;
  reader.position = std::max(reader.position, primary.wal.records.size());
  slot->second.restart = reader.position;
  if (world_.random.chance(0.03)) reader.away_until = world_.queue.now() + world_.random.between(2s, 20s);
  if (world_.random.chance(0.003)) drop_slot(name, reader, primary);
}

// Another node is the primary: it goes on from what it has of the history that is the cluster's now.
void SlotReaders::arrive(const std::string& name, SlotReader& reader, Server& primary) {
  const auto fork = primary.wal.fork_of(reader.timeline);
  const std::size_t shared = fork ? Wal::count(*fork) : primary.wal.records.size();
  if (shared < reader.position) {
    reader.position = shared;
    world_.forget_covered(name);
  }
  reader.primary = primary.number;
  const auto slot = primary.slots_of_others.find(name);
  if (slot == primary.slots_of_others.end()) return;  // it had no copy, and is to get one
  const ReadersSlot& copy = slot->second;
  if (!copy.covers || copy.lost) {
    reader.position = std::max(reader.position, copy.restart.value_or(0));
    return;
  }
  if (*copy.restart > reader.position || primary.oldest_wal > reader.position) {
    world_.violated("the reader of slot " + name + " comes to " + primary.name + " for what follows " +
                    std::to_string(reader.position) + ", which was kept there, and now is from " +
                    std::to_string(std::max(*copy.restart, primary.oldest_wal)) + " on");
  }
}

void SlotReaders::make_slot(const std::string& name, SlotReader& reader, Server& primary) {
  world_.trace([&] { return primary.name + ": the reader of slot " + name + " makes it"; });
  primary.slots_of_others[name] = {.restart = primary.redo};
  reader.reads = true;
  reader.primary = primary.number;
  reader.timeline = primary.wal.timeline;
  reader.position = primary.redo;
  reader.made_at = world_.queue.now();
  world_.forget_covered(name);
}

void SlotReaders::drop_slot(const std::string& name, SlotReader& reader, Server& primary) {
  world_.trace([&] { return primary.name + ": the reader of slot " + name + " drops it"; });
  primary.slots_of_others.erase(name);
  reader.reads = false;
  reader.dropped_at = world_.queue.now();
  world_.forget_covered(name);
}

// On a standby, where nobody else has one of that name.
void SlotReaders::somebody_makes_one() {
  Server& node = world_.any_server();
  const bool is_free = std::ranges::none_of(
      world_.servers, [](const Server& server) { return server.slots_of_others.contains(kOfSomebody); });
  if (!node.up() || !node.standby_signal || !is_free) return;
  const bool is_pgkeels = pgkeel_.memory().kept_slots.contains({node.name, kOfSomebody});
  world_.trace([&] { return node.name + ": somebody makes a slot " + kOfSomebody; });
  somebody_made_one_at_ = world_.queue.now();
  node.slots_of_others[kOfSomebody] = {.restart = node.redo, .is_somebodys = !is_pgkeels};
}

}  // namespace pgkeel::simulation
