#include "replication/decide/slots.h"

#include <algorithm>
#include <vector>

#include "replication/decide/retry.h"
#include "replication/model/slot_name.h"

namespace pgkeel {
namespace {

constexpr std::uint64_t kWorthMoving = 16U << 20;  // bytes: a segment of WAL, as PostgreSQL makes them by default

const PhysicalSlot* slot_named(const NodeFacts& facts, const std::string& name) {
  const auto found = std::ranges::find(facts.slots, name, &PhysicalSlot::name);
  return found == facts.slots.end() ? nullptr : &*found;
}

const PhysicalSlot* slot_of(const std::string& node, const NodeFacts& facts) {
  const auto found =
      std::ranges::find_if(facts.slots, [&](const PhysicalSlot& slot) { return is_slot_of_node(slot.name, node); });
  return found == facts.slots.end() ? nullptr : &*found;
}

class SlotKeeping {
 public:
  SlotKeeping(const Situation& situation, const NodeView& primary, const NodeView& node, Decision& decision)
      : situation_(situation), primary_(primary), node_(node), facts_(*node.facts), decision_(decision) {}

  void run() {
    if (host_job_runs(situation_, node_.name)) return;
    for (const auto& slot : facts_.slots) {
      if (slot.active_pid || !slot.name.starts_with(kSlotPrefix) || is_for_another_node(slot.name)) continue;
      start(ActionKind::kDropSlot, slot.name, {});
      return;
    }
    if (!facts_.checkpoint_redo.valid()) return;
    for (const auto& other : situation_.view.nodes) {
      if (&other == &node_ || situation_.is_of_another_cluster(other)) continue;
      const Lsn position = &node_ == &primary_ ? Lsn{} : needed_from(slot_of(other.name, *primary_.facts));
      if (!is_to_be_changed(slot_of(other.name, facts_), position, true)) continue;
      start(ActionKind::kKeepSlot, slot_of_node(other.name), position);
      return;
    }
    if (&node_ == &primary_)
      make_what_did_not_come_along();
    else if (!drop_a_copy())
      copy_slots_of_others();
  }

 private:
  // ---- of others ----

  // Where the old primary had it, and this node had no copy yet.
  void make_what_did_not_come_along() {
    for (const auto& kept : situation_.memory.kept_slots) {
      if (kept.node != node_.name || !is_free(kept.slot)) continue;
      start(ActionKind::kKeepSlot, kept.slot, {});
      return;
    }
  }

  // … of a slot that is gone from the primary.
  [[nodiscard]] bool drop_a_copy() {
    // After a stall of ours the primary may not have been heard since long before: then it may be there again.
    if (primary_.facts_at < node_.facts_at) return false;
    const auto& kept_slots = situation_.memory.kept_slots;
    for (const auto& kept : kept_slots) {
      const PhysicalSlot* copy = kept.node == node_.name ? slot_named(facts_, kept.slot) : nullptr;
      if (copy == nullptr || copy->active_pid || slot_named(*primary_.facts, kept.slot) != nullptr) continue;
      if (kept_slots.contains({primary_.name, kept.slot})) continue;  // it is yet to be made there
      start(ActionKind::kDropSlot, kept.slot, {});
      return true;
    }
    return false;
  }

  // Those that are here first: where no more can be made, they must not stand still.
  void copy_slots_of_others() {
    std::vector<const PhysicalSlot*> missing;
    for (const auto& slot : primary_.facts->slots) {
      if (slot.name.starts_with(kSlotPrefix)) continue;
      if (is_free(slot.name)) {
        missing.push_back(&slot);
      } else if (copy(slot)) {
        return;
      }
    }
    for (const PhysicalSlot* slot : missing) {
      if (copy(*slot)) return;
    }
  }

  // Whether something is to be done for it.
  [[nodiscard]] bool copy(const PhysicalSlot& slot) {
    const bool reserves_wal = slot.restart_lsn.valid() || slot.wal_status == "lost";
    const Lsn position = needed_from(&slot);
    if (!is_to_be_changed(slot_named(facts_, slot.name), position, reserves_wal)) return false;
    const KeptSlot kept{node_.name, slot.name};
    if (is_free(slot.name)) {
      // Whoever makes one on both may have made this one since it was asked: then it is his.
      if (node_.facts_at < primary_.facts_at) return false;
    } else if (!decision_.next.kept_slots.contains(kept)) {
      return false;  // somebody's own
    }
    if (start(ActionKind::kKeepSlot, slot.name, position, reserves_wal)) {
      decision_.actions.back().is_new = is_free(slot.name) && !decision_.next.kept_slots.contains(kept);
      decision_.next.kept_slots.insert(kept);
    }
    return true;
  }

  // No slot of this name is here.
  [[nodiscard]] bool is_free(const std::string& name) const {
    return slot_named(facts_, name) == nullptr &&
           std::ranges::find(facts_.logical_slots, name, &LogicalSlot::name) == facts_.logical_slots.end();
  }

  // ---- of all ----

  [[nodiscard]] bool is_for_another_node(const std::string& slot) const {
    return std::ranges::any_of(situation_.view.nodes, [&](const NodeView& other) {
      return &other != &node_ && is_slot_of_node(slot, other.name);
    });
  }

  // On a standby: from where on the reader of a slot may need WAL from here, should this node become the primary.
  [[nodiscard]] Lsn needed_from(const PhysicalSlot* kept) const {
    if (kept == nullptr || !kept->restart_lsn.valid()) return facts_.checkpoint_redo;
    return std::min(facts_.checkpoint_redo, kept->restart_lsn);
  }

  // `slot` of this node; nullptr: it has none of the name.
  [[nodiscard]] bool is_to_be_changed(const PhysicalSlot* slot, Lsn position, bool reserves_wal) const {
    if (slot == nullptr) return true;
    // The primary made up its mind to keep no more for this node: its rejoin begins with a new slot.
    if (slot->active_pid || &node_ == &primary_) return false;
    if (!slot->restart_lsn.valid() || slot->wal_status == "lost") return reserves_wal;
    return position.value >= slot->restart_lsn.value + kWorthMoving;
  }

  // Whether it is started now.
  bool start(ActionKind kind, const std::string& slot, Lsn position, bool reserves_wal = true) {
    for (const ActionKind changing : {ActionKind::kDropSlot, ActionKind::kKeepSlot}) {
      const ActionStatus* last = situation_.view.action(changing, node_.name);
      const bool what_is_seen_is_older = last != nullptr && (last->running || node_.facts_at <= last->finished_at);
      if (what_is_seen_is_older) return false;
    }
    if (!may_start(situation_, kind, node_.name, decision_.decide_again_at)) return false;
    Action action;
    action.kind = kind;
    action.node = node_.name;
    action.epoch = situation_.memory.epoch;
    action.slot = slot;
    action.position = position;
    action.reserves_wal = reserves_wal;
    decision_.actions.push_back(std::move(action));
    return true;
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
