#include "replication/decide/slots_of_others.h"

#include <algorithm>
#include <set>

#include "replication/model/slot_name.h"

namespace pgkeel {
namespace {

const LogicalSlot* logical_slot_named(const NodeFacts& facts, const std::string& name) {
  const auto found = std::ranges::find(facts.logical_slots, name, &LogicalSlot::name);
  return found == facts.logical_slots.end() || found->lost ? nullptr : &*found;
}

bool has_any_slot(const NodeFacts& facts, const std::string& name) {
  return std::ranges::find(facts.slots, name, &PhysicalSlot::name) != facts.slots.end() ||
         std::ranges::find(facts.logical_slots, name, &LogicalSlot::name) != facts.logical_slots.end();
}

// What the old primary said last, as far as this process heard it.
const NodeFacts* last_words(const NodeView* old_primary) {
  return old_primary != nullptr && old_primary->facts && !old_primary->facts->in_recovery ? &*old_primary->facts
                                                                                          : nullptr;
}

void take_over_physical_slots(const std::string& old_primary, const NodeFacts* last, const NodeView& primary,
                              ClusterMemory& next) {
  std::set<std::string> names;
  for (const auto& kept : next.kept_slots) names.insert(kept.slot);
  if (last != nullptr) {
    for (const auto& slot : last->slots) {
      if (!slot.name.starts_with(kSlotPrefix) && slot.restart_lsn.valid()) names.insert(slot.name);
    }
  }
  for (const auto& name : names) {
    next.kept_slots.insert({primary.name, name});
    next.kept_slots.insert({old_primary, name});
  }
}

void take_over_logical_slots(const std::string& old_primary, const NodeFacts* last, const NodeView& primary, Now now,
                             ClusterMemory& next) {
  for (const auto& slot : next.logical_slots.slots) {
    if (std::ranges::find(next.left_slots, slot, &LeftSlot::slot) != next.left_slots.end()) continue;
    const LogicalSlot* before = last == nullptr ? nullptr : logical_slot_named(*last, slot.name);
    next.left_slots.push_back({.slot = slot,
                               .old_primary = old_primary,
                               .confirmed_flush = before == nullptr ? Lsn{} : before->confirmed_flush,
                               .is_other = false,
                               .since = now.wall});
  }
  // Also those that were left behind before: this node may have one of that name from the time when it was primary.
  std::erase_if(next.left_slots, [&](LeftSlot& left) {
    const LogicalSlot* here = logical_slot_named(*primary.facts, left.slot.name);
    left.is_other = here != nullptr;
    return here != nullptr && here->synced;
  });
}

// Newer than whatever was done to its slots.
bool is_up_to_date(const Situation& situation, const NodeView& node) {
  return std::ranges::none_of(situation.view.actions, [&](const ActionStatus& status) {
    const bool changes_slots =
        status.action.kind == ActionKind::kKeepSlot || status.action.kind == ActionKind::kDropSlot;
    return changes_slots && status.action.node == node.name && (status.running || node.facts_at <= status.finished_at);
  });
}

// Somebody made one of that name between the look and the order; or nobody has, and then who makes one before the next
// order has it for himself.
bool is_known_not_to_be_ours(const Situation& situation, const KeptSlot& kept) {
  const ActionStatus* made = situation.current_action(ActionKind::kKeepSlot, kept.node);
  return made != nullptr && !made->running && (made->name_is_taken || made->nothing_was_made) &&
         made->action.slot == kept.slot;
}

void review_kept_slots(const Situation& situation, const NodeView& primary, ClusterMemory& next) {
  std::erase_if(next.kept_slots, [&](const KeptSlot& kept) { return is_known_not_to_be_ours(situation, kept); });
  // What the primary has is its readers' own.
  std::erase_if(next.kept_slots, [&](const KeptSlot& kept) {
    return kept.node == primary.name && has_any_slot(*primary.facts, kept.slot);
  });
  // What is left of it is yet to be made there, and is wanted on the standbys too.
  const auto is_wanted = [&](const std::string& slot) {
    return has_any_slot(*primary.facts, slot) || next.kept_slots.contains({primary.name, slot});
  };
  std::erase_if(next.kept_slots, [&](const KeptSlot& kept) {
    const NodeView* node = situation.view.node(kept.node);
    return node != nullptr && node->answers_as_standby() && !has_any_slot(*node->facts, kept.slot) &&
           !is_wanted(kept.slot) && is_up_to_date(situation, *node);
  });
}

void review_left_slots(const NodeView& primary, Now now, ClusterMemory& next) {
  std::erase_if(next.left_slots, [&](LeftSlot& left) {
    const bool is_here = logical_slot_named(*primary.facts, left.slot.name) != nullptr;
    if (!is_here) left.is_other = false;
    return (is_here && !left.is_other) || now.wall - left.since > kLeftSlotShownFor;
  });
}

}  // namespace

void remember_slots(const Situation& situation, const NodeView& primary, ClusterMemory& next) {
  const std::string old_primary = next.logical_slots.primary;
  if (!old_primary.empty() && old_primary != primary.name) {
    const NodeFacts* last = last_words(situation.view.node(old_primary));
    take_over_physical_slots(old_primary, last, primary, next);
    take_over_logical_slots(old_primary, last, primary, situation.now, next);
  }
  review_kept_slots(situation, primary, next);
  review_left_slots(primary, situation.now, next);
  next.logical_slots = {.primary = primary.name, .slots = {}};
  for (const auto& slot : primary.facts->logical_slots) {
    if (!slot.lost) next.logical_slots.slots.push_back({slot.name, slot.database, slot.plugin});
  }
  std::ranges::sort(next.logical_slots.slots);
}

std::string describe(const LeftSlot& left, const std::string& primary) {
  std::string text =
      "logical slot " + left.slot.name + " (database " + left.slot.database + ", " + left.slot.plugin + ") of " +
      left.old_primary +
      (left.confirmed_flush.valid() ? ", confirmed up to " + format_lsn(left.confirmed_flush) + "," : "");
  if (left.is_other) {
    return text + " was not synchronized to " + primary + ", which has another one of that name: " +
           "unless you know that it goes on where that one stood, drop it, make it anew, and copy to its consumer anew";
  }
  return text + " is not on " + primary +
         ", and is not made anew behind its consumer's back: what it had not sent yet " +
         "it cannot send any more; make it anew there, and copy to its consumer anew";
}

}  // namespace pgkeel
