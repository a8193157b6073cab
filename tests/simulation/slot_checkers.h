// Rule 24, and what it is for: of the slots of others only those that the state file names are moved on, made anew or
// dropped; a copy never gives up what its reader still needs; a logical slot that did not come along is told of. Tests
// only.
#pragma once

#include <string>

#include "replication/model/action.h"
#include "replication/model/slot_memory.h"
#include "tests/simulation/durability_checkers.h"
#include "tests/simulation/world.h"

namespace pgkeel::simulation {

class SlotCheckers {
 public:
  SlotCheckers(World& world, const Disk& disk) : world_(world), disk_(disk) {}

  void stored();
  void action_started(const Action& action) const;
  // What pgkeel's statement does, as PostgreSQL does it.
  void keep(Server& server, const Action& action) const;
  void drop(Server& server, const std::string& slot) const;

 private:
  [[nodiscard]] bool has_a_gap_on_primary(const std::string& slot) const;

  World& world_;
  const Disk& disk_;
  LogicalSlots logical_slots_;  // as the state said before
};

}  // namespace pgkeel::simulation
