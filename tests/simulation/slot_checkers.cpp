#include "tests/simulation/slot_checkers.h"

#include <algorithm>
#include <utility>

#include "replication/model/slot_name.h"

namespace pgkeel::simulation {

using namespace std::chrono_literals;

void SlotCheckers::stored() {
  const ClusterMemory& memory = disk_.memory;
  const LogicalSlots before = std::exchange(logical_slots_, memory.logical_slots);
  if (before.primary.empty() || before.primary == memory.logical_slots.primary) return;
  const Server* primary = world_.server(memory.logical_slots.primary);
  if (primary == nullptr) return;
  for (const auto& slot : before.slots) {
    const bool is_told = std::ranges::find(memory.left_slots, slot, &LeftSlot::slot) != memory.left_slots.end();
    if (!is_told && !primary->logical_slots.contains(slot.name))
      world_.violated("logical slot " + slot.name + " of " + before.primary + " is not on " + primary->name +
                      ", and nobody is told");
  }
}

void SlotCheckers::action_started(const Action& action) const {
  const bool changes_slot = action.kind == ActionKind::kKeepSlot || action.kind == ActionKind::kDropSlot;
  if (!changes_slot || action.slot.starts_with(kSlotPrefix)) return;
  const ClusterMemory& memory = disk_.or_else ? *disk_.or_else : disk_.memory;
  if (!memory.kept_slots.contains({action.node, action.slot}))
    world_.violated(std::string(action_name(action.kind)) + " of " + action.slot + " on " + action.node +
                    ", which the state does not name");
}

// Where its reader comes to a copy that is lost, or was made too late for it, there is no more to be kept for it than
// from there on.
bool SlotCheckers::has_a_gap_on_primary(const std::string& slot) const {
  const Server* primary = world_.server(disk_.memory.primary);
  if (primary == nullptr) return false;
  const auto there = primary->slots_of_others.find(slot);
  if (there == primary->slots_of_others.end()) return false;
  const ReadersSlot& copy = there->second;
  return copy.lost || (!copy.covers && copy.restart.value_or(0) > world_.slot_readers.at(slot).position);
}

void SlotCheckers::keep(Server& server, const Action& action) const {
  const auto found = server.slots_of_others.find(action.slot);
  const bool is_there = found != server.slots_of_others.end();
  const bool keeps_nothing = is_there && (found->second.lost || !found->second.restart);
  if (!is_there || (keeps_nothing && action.reserves_wal)) {
    if (is_there && found->second.is_somebodys)
      world_.violated("slot " + action.slot + " of somebody on " + server.name + " is made anew");
    ReadersSlot made;
    if (action.reserves_wal) made.restart = server.redo;
    server.slots_of_others[action.slot] = made;
    world_.trace([&] { return server.name + ": slot " + action.slot + " is made"; });
    return;
  }
  ReadersSlot& slot = found->second;
  if (!action.position.valid() || !slot.restart) return;
  const std::size_t position = std::min(Wal::count(action.position), server.wal.records.size());
  if (position <= *slot.restart) return;
  if (slot.is_somebodys) world_.violated("slot " + action.slot + " of somebody on " + server.name + " is moved on");
  slot.restart = position;
  world_.trace([&] { return server.name + ": slot " + action.slot + " is moved on to " + std::to_string(position); });
  const SlotReader& reader = world_.slot_readers.at(action.slot);
  if (!slot.covers || position <= reader.position) return;
  if (has_a_gap_on_primary(action.slot)) {
    slot.covers = false;
  } else {
    world_.violated("slot " + action.slot + " on " + server.name + " is moved on to " + std::to_string(position) +
                    ", and its reader has read up to " + std::to_string(reader.position) + " only");
  }
}

void SlotCheckers::drop(Server& server, const std::string& slot) const {
  const auto found = server.slots_of_others.find(slot);
  if (found == server.slots_of_others.end()) return;
  const SlotReader& reader = world_.slot_readers.at(slot);
  world_.trace([&] { return server.name + ": slot " + slot + " is dropped"; });
  if (found->second.is_somebodys) world_.violated("slot " + slot + " of somebody on " + server.name + " is dropped");
  // When the order was given, which is on its way for a while.
  const bool was_gone = world_.queue.now() - std::max(reader.dropped_at, reader.made_at) < kStatementsAreOnTheirWay;
  if (found->second.covers && reader.reads && !was_gone)
    world_.violated("slot " + slot + " on " + server.name + " is dropped, although its reader has one still");
  server.slots_of_others.erase(found);
}

}  // namespace pgkeel::simulation
