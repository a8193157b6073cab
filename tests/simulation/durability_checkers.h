// Rule 3, checked at each acknowledgement and each change of state against what the nodes really hold: what was
// acknowledged under durability = strict or available is never missing where clients are led to, and the state never
// promises more than is true. Tests only.
#pragma once

#include <array>
#include <optional>

#include "replication/model/cluster_memory.h"
#include "tests/simulation/world.h"

namespace pgkeel::simulation {

// pgkeel's state file.
struct Disk {
  ClusterMemory memory;  // what a restart reads
  // A store was reported as failed, although it was not: what the process goes on with meanwhile.
  std::optional<ClusterMemory> or_else;
};

class DurabilityCheckers {
 public:
  DurabilityCheckers(World& world, const Disk& disk) : world_(world), disk_(disk) {}

  // `meddling`: what somebody did beside pgkeel, without which it would not have been acknowledged; 0: nothing. Until
  // pgkeel has seen it nobody can make up for it.
  void acknowledged(const Server& server, RecordId record, std::uint32_t meddling);

  void stored(bool chosen_by_operator);
  void files_changed() { check_promises(); }
  void candidate_is_told(const Server& candidate, const Quorum& standby_names);

  [[nodiscard]] std::size_t acknowledgements() const { return acknowledgements_; }
  [[nodiscard]] bool all_standbys_are_safe() const;  // as the state says

 private:
  void check_promises() const;
  void check_promise(const ClusterMemory& memory) const;
  [[nodiscard]] const Server* leader() const;

  World& world_;
  const Disk& disk_;
  // Of those that must never be lost. Whoever holds it holds all that were acknowledged before it.
  RecordId newest_ = 0;
  std::array<bool, 8> was_led_to_{};  // since it was chosen last
  std::size_t acknowledgements_ = 0;
};

}  // namespace pgkeel::simulation
