// Makes the records of decisions from what happens to one cluster: what is stored, started, finished and applied, in
// the order of the controller's effects. No I/O, reads no clock. One thread.
#pragma once

#include <deque>
#include <functional>
#include <map>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "proxy/base/time.h"
#include "replication/model/action.h"
#include "replication/model/cluster_memory.h"
#include "replication/model/cluster_view.h"
#include "replication/model/decision_record.h"

namespace pgkeel {

class DecisionRecorder {
 public:
  // What was ended and released so far by this process, and who waits now.
  using Clients = DecisionRecord::Clients;
  using AskClients = std::function<Clients()>;
  // `keep` takes a record and returns its id; 0 in the record: it is a new one.
  using Keep = std::function<std::uint64_t(const DecisionRecord&)>;
  DecisionRecorder(std::string cluster, Keep keep, AskClients clients)
      : cluster_(std::move(cluster)), keep_(std::move(keep)), ask_clients_(std::move(clients)) {}

  // After a start, with what an earlier pgkeel had not finished: it is gone on with, or ended.
  void resume(const std::vector<DecisionRecord>& unfinished, const ClusterMemory& memory, Now now);

  void stored(const ClusterMemory& before, const ClusterMemory& after, const std::vector<NodeView>& nodes, Now now);
  void started(const Action& action, Now now);
  void finished(const ActionStatus& outcome, Now now);
  // Every worker has said that no transaction is open any more.
  void route_drained(Now now);
  // Every worker applied this route; empty: nowhere.
  void route_applied(std::uint64_t epoch, const std::string& node, Now now);
  // After each decision, when its actions are started: why there is no failover although the primary failed (empty: it
  // did not, or there is one), and whether every node is as it should be.
  void decided(const ClusterMemory& memory, const std::vector<NodeView>& nodes, const std::string& refusal, bool normal,
               Now now);
  // An operator's order of a failover was refused.
  void refused(const OperatorOrder& order, const std::string& why, const ClusterMemory& memory,
               const std::vector<NodeView>& nodes, Now now);
  // What this node alone had was looked through.
  void found_lost(const std::string& node, const std::string& report, std::uint64_t transactions, std::uint64_t bytes);

 private:
  void begin_failover(const ClusterMemory& before, const ClusterMemory& after, const std::vector<NodeView>& nodes,
                      Now now);
  void go_on_with(DecisionRecord record, Now now);
  void begin_switchover(const ClusterMemory& before, const ClusterMemory& after, const std::vector<NodeView>& nodes,
                        Now now);
  void choose(const ClusterMemory& memory, const std::vector<NodeView>& nodes, Now now);
  void look_beside_rows(const ClusterMemory& memory, const std::vector<NodeView>& nodes, Now now);
  void end_failover(std::string outcome);
  void keep_refusal(const ClusterMemory& memory, const std::vector<NodeView>& nodes, std::string reason,
                    std::string ordered_by, WallTime began, Now now);
  void step(const char* name, Now now);
  void count_clients();
  [[nodiscard]] Clients counted_at(Instant when) const;
  void keep(DecisionRecord& record) { record.id = keep_(record); }
  void keep_failover();
  [[nodiscard]] bool is_switchover() const {
    return under_way() && failover_->kind == DecisionRecord::Kind::kSwitchover;
  }
  [[nodiscard]] bool under_way() const { return open_ && failover_->outcome == "under way"; }

  const std::string cluster_;
  const Keep keep_;
  const AskClients ask_clients_;
  std::optional<DecisionRecord> failover_;  // the newest, or switchover
  bool open_ = false;                       // it is not ended yet
  bool to_be_kept_ = false;                 // it is told more than was kept of it
  Instant failover_since_{};                // its evidence
  Clients clients_before_;                  // of this process, when its part of the record began
  // The newest while no failover was under way, oldest first: sessions end as soon as the primary does, and pgkeel
  // decides later.
  std::deque<std::pair<Instant, Clients>> counted_;
  Clients clients_of_earlier_process_;
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
