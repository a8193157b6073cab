// What is remembered of the replication slots of others, those that are not called pgkeel_…, so that they come through
// a change of primary, or are told of where they cannot. Plain data.
#pragma once

#include <compare>
#include <cstdint>
#include <string>
#include <vector>

#include "proxy/base/lsn.h"
#include "proxy/base/time.h"

namespace pgkeel {

// A physical slot that is pgkeel's to make, to move on and to drop on this node: the copy of one that the primary has,
// or, on an old primary, that one itself.
struct KeptSlot {
  std::string node;
  std::string slot;

  friend auto operator<=>(const KeptSlot&, const KeptSlot&) = default;
};

struct LogicalSlotName {
  std::string name;
  std::string database;
  std::string plugin;

  friend auto operator<=>(const LogicalSlotName&, const LogicalSlotName&) = default;
};

// The logical slots that a primary had when it was asked last; sorted.
struct LogicalSlots {
  std::string primary;  // empty: none was asked yet
  std::vector<LogicalSlotName> slots;

  friend bool operator==(const LogicalSlots&, const LogicalSlots&) = default;
};

// A logical slot that did not come along when another node became the primary.
struct LeftSlot {
  LogicalSlotName slot;
  std::string old_primary;
  Lsn confirmed_flush;    // of the old primary's, as it was told last; invalid: not known
  bool is_other = false;  // the new primary has a slot of this name, but nobody has synchronized it
  WallTime since;

  friend bool operator==(const LeftSlot&, const LeftSlot&) = default;
};

}  // namespace pgkeel
