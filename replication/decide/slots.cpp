#include "replication/decide/slots.h"

#include <algorithm>

#include "replication/decide/retry.h"
#include "replication/model/slot_name.h"

namespace pgkeel {
namespace {

constexpr std::uint64_t kWorthMoving = 16U << 20;  // bytes: a segment of WAL, as PostgreSQL makes them by default

const PhysicalSlot* slot_named(const NodeFacts& facts, const std::string& name) {
  const auto found = std::ranges::find(facts.slots, name, &PhysicalSlot::name);
  return found == facts.slots.end() ? nullptr : &*found;
}

class SlotKeeping {
 public:
  SlotKeeping(const Situation& situation, const NodeView& primary, const NodeView& node, Decision& decision)
      : situation_(situation), primary_(primary), node_(node), facts_(*node.facts), decision_(decision) {}

  void run() {
    if (host_job_runs(situation_, node_.name)) return;
    for (const auto& slot : facts_.slots) {
      if (!slot.name.starts_with(kSlotPrefix) || slot.active_pid || is_for_another_node(slot.name)) continue;
      return start(ActionKind::kDropSlot, slot.name, {});
    }
    if (!facts_.checkpoint_redo.valid()) return;
    for (const auto& other : situation_.view.nodes) {
      if (&other == &node_) continue;
      const Lsn position = &node_ == &primary_ ? Lsn{} : needed_from(other);
      if (is_to_be_changed(slot_of_node(other.name), position))
        return start(ActionKind::kKeepSlot, slot_of_node(other.name), position);
    }
  }

 private:
  [[nodiscard]] bool is_for_another_node(const std::string& slot) const {
    return std::ranges::any_of(situation_.view.nodes, [&](const NodeView& other) {
      return &other != &node_ && slot_of_node(other.name) == slot;
    });
  }

  // On a standby: from where on `other` may need WAL from here, should this node become the primary.
  [[nodiscard]] Lsn needed_from(const NodeView& other) const {
    const PhysicalSlot* kept = slot_named(*primary_.facts, slot_of_node(other.name));
    if (kept == nullptr || !kept->restart_lsn.valid()) return facts_.checkpoint_redo;
    return std::min(facts_.checkpoint_redo, kept->restart_lsn);
  }

  [[nodiscard]] bool is_to_be_changed(const std::string& name, Lsn position) const {
    const PhysicalSlot* slot = slot_named(facts_, name);
    if (slot == nullptr) return true;
    // The primary made up its mind to keep no more for this node: its rejoin begins with a new slot.
    if (slot->active_pid || &node_ == &primary_) return false;
    if (!slot->restart_lsn.valid() || slot->wal_status == "lost") return true;
    return position.value >= slot->restart_lsn.value + kWorthMoving;
  }

  void start(ActionKind kind, const std::string& slot, Lsn position) {
    for (const ActionKind changing : {ActionKind::kDropSlot, ActionKind::kKeepSlot}) {
      const ActionStatus* last = situation_.view.action(changing, node_.name);
      if (last != nullptr && (last->running || node_.facts_at <= last->finished_at)) return;  // what is seen is older
    }
    if (!may_start(situation_, kind, node_.name, decision_.decide_again_at)) return;
    Action action;
    action.kind = kind;
    action.node = node_.name;
    action.epoch = situation_.memory.epoch;
    action.slot = slot;
    action.position = position;
    decision_.actions.push_back(std::move(action));
  }

  const Situation& situation_;
  const NodeView& primary_;
  const NodeView& node_;
  const NodeFacts& facts_;
  Decision& decision_;
};

}  // namespace

void keep_slots(const Situation& situation, const NodeView& primary, const NodeView& node, Decision& decision) {
  if (node.answering()) SlotKeeping(situation, primary, node, decision).run();
}

}  // namespace pgkeel
