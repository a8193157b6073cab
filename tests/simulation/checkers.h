// The rules, checked at every event of a schedule against what is true in the simulated world. A broken rule throws
// Violation. Tests only.
#pragma once

#include <cstdint>
#include <map>
#include <optional>
#include <set>
#include <string>
#include <vector>

#include "replication/execute/cluster_controller.h"
#include "tests/simulation/durability_checkers.h"
#include "tests/simulation/parted_checkers.h"
#include "tests/simulation/slot_checkers.h"
#include "tests/simulation/world.h"

namespace pgkeel::simulation {

constexpr std::size_t kWorkers = 2;

// What a schedule has come to.
struct Reached {
  std::set<std::size_t> rows;  // of the transition table
  std::set<ActionKind> actions;
};

class Checkers {
 public:
  Checkers(World& world, const Disk& disk)
      : durability(world, disk),
        slots(world, disk),
        parted_(world, disk),
        world_(world),
        disk_(disk),
        routes_(kWorkers) {}

  DurabilityCheckers durability;
  SlotCheckers slots;

  // pgkeel's process.
  void process_started();
  void process_ended();
  void stored(Phase before, const std::string& transition);
  void published(const RouteOrder& order);
  void applied(std::size_t worker, const RouteOrder& order);
  void client_wrote(std::size_t worker, std::size_t node);
  void acknowledged(std::size_t node, RecordId record, std::uint32_t meddling);
  void candidate_chosen(bool positions_could_be_read);
  void promotion_sent(const Action& action);
  void candidate_is_told(const Server& candidate, const Quorum& standby_names) {
    durability.candidate_is_told(candidate, standby_names);
  }
  void fence_reported(std::size_t node, std::uint32_t incarnation_before);  // as proven stopped
  void host_job_started(const std::string& node);
  void host_job_ended(const std::string& node) { host_jobs_.erase(node); }
  void stepped();
  void action_started(const Action& action);
  void event_recorded();

  [[nodiscard]] const Reached& reached() const { return reached_; }
  [[nodiscard]] std::uint64_t steps() const { return steps_; }
  [[nodiscard]] std::size_t failovers() const { return failovers_; }
  [[nodiscard]] std::size_t promised() const { return promised_.size() + durability.acknowledgements(); }

 private:
  struct WorkerRoute {
    RouteOrder order;
    bool closing = false;  // a newer order was published, and is not applied yet
  };
  static bool allows(const ClusterMemory& memory, const WorkerRoute& route);
  void rests_where_ordered(const Action& action) const;
  void goes_where_ordered(Phase before, bool chosen_by_operator);
  void count(std::uint64_t& counter, std::uint64_t limit, const char* what);

  PartedCheckers parted_;
  World& world_;
  const Disk& disk_;
  RouteOrder published_;
  std::vector<WorkerRoute> routes_;
  std::uint64_t newest_epoch_stored_ = 0;
  std::uint64_t newest_epoch_applied_ = 0;
  std::map<std::uint64_t, std::string> node_of_epoch_;
  std::map<std::uint64_t, std::string> promoted_in_epoch_;
  std::optional<std::string> unsettled_;  // told to promote, and the state does not say yet what came of it
  Timeline newest_timeline_written_ = 0;
  std::vector<RecordId> promised_;              // acknowledged to a client when every node had them
  std::vector<RecordId> promised_by_one_;       // … when one standby had them
  std::optional<std::string> stopped_primary_;  // by an order; until it is the primary again
  Reached reached_;
  std::set<std::string> host_jobs_;  // nodes whose processes or files a job of this process works on
  std::uint64_t steps_ = 0;
  std::size_t failovers_ = 0;
  Instant second_began_;
  std::uint64_t steps_in_second_ = 0;
  std::uint64_t actions_in_second_ = 0;
  std::uint64_t events_in_second_ = 0;
};

}  // namespace pgkeel::simulation
