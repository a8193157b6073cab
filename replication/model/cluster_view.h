// What is known of a cluster at one moment: the nodes as the monitor sees them, the actions as the executor carries
// them out, the route as the workers have applied it. Plain data, made anew for each decision.
#pragma once

#include <cstdint>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "health/failure_detector.h"
#include "health/observation.h"
#include "proxy/base/address.h"
#include "proxy/base/time.h"
#include "replication/model/action.h"

namespace pgkeel {

struct NodeView {
  std::string name;
  HostPort address;
  std::uint32_t priority = 100;
  bool local = false;       // its processes and files can be handled from here
  std::string local_doubt;  // configured so, and why they cannot; empty: nothing speaks against it
  Suspicion suspicion;
  std::shared_ptr<const NodeFacts> facts;  // of the newest probe that was answered; nullptr: none was
  Instant facts_at;                        // when that probe began: the facts are not older
  std::map<std::string, std::uint64_t>
      room;  // bytes that are free, per disk of its server; none: nobody can look there

  [[nodiscard]] bool answering() const {
    return facts != nullptr && (suspicion.liveness == Liveness::kAlive || suspicion.liveness == Liveness::kLate);
  }
  [[nodiscard]] bool answers_as_primary() const { return answering() && !facts->in_recovery; }
  [[nodiscard]] bool answers_as_standby() const { return answering() && facts->in_recovery; }
};

// How a standby's flushed position moves, from one probe of the primary to the next.
struct FlushProgress {
  bool keeps_up = false;                      // it has flushed what the primary had at the probe before
  std::optional<Instant> stands_still_since;  // commits wait, and it flushes nothing more
  std::optional<Instant> gone_since;          // its walsender was there, and is not since the facts of then
  // Commits wait although it, and whoever else is needed, has flushed all there is; it has not replayed that, and
  // replays nothing more: they were written with synchronous_commit = remote_apply.
  std::optional<Instant> replay_stands_still_since;
  bool replay_holds_commits = false;  // … for so long that it counts, and it has replayed nothing since
};

// A standby that commits ceased to wait for again and again.
struct StandbyRest {
  Instant until;               // they do not wait for it before, however well it keeps up
  std::uint32_t releases = 0;  // of the time that counts
  Duration pause{};            // since the newest
};

struct ClusterView {
  std::vector<NodeView> nodes;                    // in the order of the configuration
  std::vector<ActionStatus> actions;              // at most one per kind and node, the newest
  std::uint64_t route_epoch_applied = 0;          // every worker has applied a route of this epoch …
  bool route_closed = true;                       // … which led nowhere
  Instant route_applied_since;                    // since then at the latest
  bool route_drained = false;                     // the route drains, and no session of it is in a transaction
  Instant phase_since;                            // when this process saw the memory enter its phase
  std::map<std::string, FlushProgress> flushes;   // per application_name at the primary, as its newest facts say
  std::map<std::string, StandbyRest> rests;       // per node; also those that are over
  std::optional<Instant> normal_since;            // the condition is normal, without a break
  std::map<std::uint64_t, Instant> orders_since;  // when this process saw each running order, by its id

  [[nodiscard]] const NodeView* node(const std::string& name) const {
    for (const auto& candidate : nodes) {
      if (candidate.name == name) return &candidate;
    }
    return nullptr;
  }
  [[nodiscard]] const ActionStatus* action(ActionKind kind, const std::string& node_name) const {
    for (const auto& status : actions) {
      if (status.action.kind == kind && status.action.node == node_name) return &status;
    }
    return nullptr;
  }
};

}  // namespace pgkeel
