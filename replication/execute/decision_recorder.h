// Makes the records of decisions from what happens to one cluster: what is stored, started, finished and applied, in
// the order of the controller's effects. No I/O, reads no clock. One thread.
#pragma once

#include <functional>
#include <map>
#include <optional>
#include <string>
#include <vector>

#include "proxy/base/time.h"
#include "replication/model/action.h"
#include "replication/model/cluster_memory.h"
#include "replication/model/cluster_view.h"
#include "replication/model/decision_record.h"

namespace pgkeel {

class DecisionRecorder {
 public:
  // `keep` takes a record and returns its id; 0 in the record: it is a new one.
  using Keep = std::function<std::uint64_t(const DecisionRecord&)>;
  DecisionRecorder(std::string cluster, Keep keep) : cluster_(std::move(cluster)), keep_(std::move(keep)) {}

  // What was ended so far, and who waits now.
  using Clients = DecisionRecord::Clients;

  void stored(const ClusterMemory& before, const ClusterMemory& after, const std::vector<NodeView>& nodes,
              const Clients& clients, Now now);
  void started(const Action& action, Now now);
  void finished(const ActionStatus& outcome, Now now);
  // Every worker applied this route; empty: nowhere.
  void route_applied(std::uint64_t epoch, const std::string& node, const Clients& clients, Now now);
  // After each decision: why there is no failover although the primary failed (empty: it did not, or there is one), and
  // whether every node is as it should be.
  void decided(const ClusterMemory& memory, const std::vector<NodeView>& nodes, const std::string& refusal, bool normal,
               Now now);

 private:
  void begin_failover(const ClusterMemory& before, const ClusterMemory& after, const std::vector<NodeView>& nodes,
                      const Clients& clients, Now now);
  void choose(const ClusterMemory& memory, const std::vector<NodeView>& nodes, Now now);
  void end_failover(std::string outcome);
  void step(const char* name, Now now);
  void keep(DecisionRecord& record) { record.id = keep_(record); }

  const std::string cluster_;
  const Keep keep_;
  std::optional<DecisionRecord> failover_;
  Instant failover_since_{};  // its evidence
  Clients clients_before_;
  struct Rejoin {
    DecisionRecord record;
    Instant since;
  };
  std::map<std::string, Rejoin> rejoins_;  // by node
  std::string refusal_;
  Instant refused_since_{};
  bool refusal_kept_ = false;
};

}  // namespace pgkeel
