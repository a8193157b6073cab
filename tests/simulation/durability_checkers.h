// Rule 3, checked at each acknowledgement and each change of state against what the nodes really hold: what was
// acknowledged under durability = strict or available is never missing where clients are led to, and the state never
// promises more than is true. Tests only.
#pragma once

#include <array>
#include <optional>
#include <set>
#include <string>

#include "replication/model/cluster_memory.h"
#include "tests/simulation/world.h"

namespace pgkeel::simulation {

// pgkeel's state file.
struct Disk {
  ClusterMemory memory;  // what a restart reads
  // A store was reported as failed, although it was not: what the process goes on with meanwhile.
  std::optional<ClusterMemory> or_else;
};

// A failover is under way, or wanted, that may lose what the candidate lacks.
bool loss_is_accepted(const ClusterMemory& memory);

class DurabilityCheckers {
 public:
  DurabilityCheckers(World& world, const Disk& disk) : world_(world), disk_(disk) {}

  // `meddling`: what somebody did beside pgkeel, without which it would not have been acknowledged; 0: nothing. Until
  // pgkeel has seen it nobody can make up for it.
  void acknowledged(const Server& server, RecordId record, std::uint32_t meddling);

  // … through the route: strictly no such commit is on one server alone.
  void acknowledged_to_client(const Server& server, RecordId record, std::uint32_t meddling) const;

  void stored(bool chosen_by_operator);
  void files_changed() { check_promises(); }
  void proven_stopped(const Server& server);
  void cut_off(const std::string& standby);
  void candidate_is_told(const Server& candidate, const Quorum& standby_names);

  [[nodiscard]] std::size_t acknowledgements() const { return acknowledgements_; }
  [[nodiscard]] bool all_standbys_are_safe() const;  // as the state says

 private:
  void check_promises() const;
  void check_promise(const ClusterMemory& memory) const;
  [[nodiscard]] const Server* leader() const;
  [[nodiscard]] bool nobody_could_know(const Server& server) const;

  World& world_;
  const Disk& disk_;
  // Of those that must never be lost. Whoever holds it holds all that were acknowledged before it.
  RecordId newest_ = 0;
  std::array<bool, 8> was_led_to_{};  // since it was chosen last

  // Of this epoch: the old primary was proven stopped, in this incarnation, and these standbys were cut off it.
  struct Stop {
    const Server* server = nullptr;
    std::uint32_t incarnation = 0;
    Instant when;
  };
  std::uint64_t epoch_ = 0;
  Stop stop_;
  std::set<std::string> cut_off_;
  RecordId acknowledged_beside_ = 0;  // by the old primary that somebody started again, before anybody could know
  std::size_t acknowledgements_ = 0;
};

}  // namespace pgkeel::simulation
