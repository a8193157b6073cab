// Drives the decision core of one cluster: keeps its memory durable, publishes its route, starts its actions, in the
// order that the safety rules demand. It has no I/O of its own: what it does goes through Effects, which the
// application implements on real servers and the simulation on simulated ones. One thread. Of several pgkeels only the
// leader steps one, and a new one in each of its terms; the others only look().
#pragma once

#include <functional>
#include <map>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "proxy/base/result.h"
#include "proxy/base/route_mode.h"
#include "replication/decide/decide.h"
#include "replication/execute/event.h"
#include "replication/execute/flush_watch.h"
#include "replication/execute/rejoin_watch.h"
#include "replication/execute/release_watch.h"
#include "replication/model/cluster_memory.h"
#include "replication/model/cluster_view.h"
#include "replication/model/decision.h"
#include "replication/model/failover_policy.h"

namespace pgkeel {

// Where the access point shall lead, as the controller says it.
struct RouteOrder {
  std::uint64_t epoch = 0;
  std::string node;  // empty: nowhere
  std::string reason;
  RouteMode mode = RouteMode::kNormal;

  [[nodiscard]] bool same_route(const RouteOrder& other) const {
    return epoch == other.epoch && node == other.node && mode == other.mode;
  }
};

// decide(), or what a test puts in its place.
using DecisionCore = std::function<Decision(const ClusterView& view, const ClusterMemory& memory,
                                            const FailoverPolicy& policy, Now now)>;

class ClusterController {
 public:
  enum class Storing {
    kDurable,   // when store() has returned
    kUnderWay,  // answered by stored(), never from inside that call
  };

  class Effects {
   public:
    virtual ~Effects() = default;
    virtual Result<Storing> store(const ClusterMemory& memory) = 0;
    virtual void publish_route(
        const RouteOrder& order) = 0;  // answered by route_applied(), and one that drains by route_drained() some time
                                       // after that; never from inside this call
    virtual void start(const Action& action) = 0;  // answered by finished(), never from inside this call
    // The action, which runs, shall end soon, done or not; finished() tells, never from inside this call.
    virtual void break_off(const Action& action) = 0;
    virtual void record(const Event& event) = 0;
  };

  ClusterController(std::string name, FailoverPolicy policy, ClusterMemory memory, Effects& effects,
                    DecisionCore core = decide);

  // The access point is open already, because another process has decided so, by the same memory. Before the first
  // step.
  void resume(const RouteOrder& open);
  // Another pgkeel has decided so far, and `newest` is the route that all have agreed on. Where that leads nowhere,
  // some worker somewhere may lead to a node still. Before the first step.
  void take_over(const RouteOrder& newest);
  // Every worker has followed the newest route.
  [[nodiscard]] bool route_is_applied() const { return anything_published_ && applied_.same_route(published_); }
  // Other rules and nodes, as a whole, between two decisions. What was ordered with --adopt stays ordered. Call step()
  // with the new nodes next.
  void reconfigure(FailoverPolicy policy, const std::vector<NodeConfig>& nodes);

  // Decides and acts on what is seen now. Call after every observation, every answer, and at decide_again_at().
  // While the memory is being stored it only sees.
  void step(const std::vector<NodeView>& nodes, Now now);
  // Decides, and does nothing of it: what a pgkeel that does not lead has to show.
  void look(const std::vector<NodeView>& nodes, Now now);

  // The memory that was to be stored is durable, or nobody knows whether it is. Call step() next.
  void stored(const Result<void>& outcome, Now now);
  [[nodiscard]] bool is_storing() const { return under_way_.has_value(); }

  // An operator's order, not while is_storing(). What is accepted is durable when this returns, or, where it is being
  // stored then, when stored() says so; the next step() acts on it. `preview`: what it would do; nothing is changed.
  OrderAnswer give_order(const OperatorOrder& order, bool preview, const std::vector<NodeView>& nodes, Now now);

  void route_applied(const RouteOrder& order);
  // No session of this route, which drains, is in a transaction, and none will be.
  void route_drained(const RouteOrder& order);
  // The outcome of an action: succeeded, message, fence, examination are taken over. One that is not running is
  // ignored.
  void finished(const ActionStatus& outcome, Now now);

  // This action was carried out already, and nothing changed since but that it is tried again: what it does is no news.
  [[nodiscard]] bool is_repetition(ActionKind kind, const std::string& node) const;

  [[nodiscard]] const ClusterMemory& memory() const { return memory_; }
  [[nodiscard]] const Decision& last_decision() const { return decision_; }
  [[nodiscard]] const std::vector<ActionStatus>& actions() const { return view_.actions; }
  [[nodiscard]] const RouteOrder& published_route() const { return published_; }
  [[nodiscard]] Instant decide_again_at() const {
    return is_storing() ? Instant::max() : decision_.decide_again_at;  // stored() comes first
  }
  [[nodiscard]] const std::string& state_error() const { return state_error_; }  // empty: the state is durable

 private:
  // What is being stored, and what goes on when it is durable.
  struct UnderWay {
    ClusterMemory next;
    bool written_again = false;
    std::function<void(Now now)> then;
  };
  enum class Durable { kYes, kNo, kLater };

  void see(const std::vector<NodeView>& nodes);
  void act(const std::optional<ClusterMemory>& before, Now now);
  void see_orders(Now now);
  void tell_of_orders(const std::vector<OperatorOrder>& before, Now now);
  void tell_of_slots(const ClusterMemory& before, const std::vector<NodeView>& nodes, Now now);
  void keep_order_to_adopt(Now now);
  void remind_of_maintenance(Now now);
  Durable make_durable(const ClusterMemory& next, Now now, std::function<void(Now now)> then);
  void store_succeeded(const ClusterMemory& next, Now now);
  void store_failed(const std::string& why, bool written_again, Now now);
  void publish(RouteOrder order, Now now);
  void start(const Action& action, Now now);
  void begin_rejoins_anew(const std::string& node);
  void break_off_job_of(const std::string& node, Now now);
  void tell_of_nodes(const std::vector<NodeView>& nodes, Now now);
  void tell(Now now, LogLevel severity, std::string kind, std::string node, std::string text);

  std::string name_;
  FailoverPolicy policy_;
  ClusterMemory memory_;
  Effects* effects_;
  DecisionCore core_;
  ClusterView view_;  // its nodes are those of the newest step; the rest is kept up to date
  Decision decision_;
  FlushWatch flushes_;
  RejoinWatch rejoins_;
  ReleaseWatch releases_;
  RouteOrder published_;
  bool anything_published_ = false;
  RouteOrder applied_;
  bool applied_is_new_ = false;
  bool drained_ = false;  // what is published drains, and has
  Instant applied_since_{};
  std::string maybe_open_;  // some worker may lead there still: no other node is opened before all have closed it
  Instant started_at_{};
  std::string state_error_;
  std::optional<UnderWay> under_way_;
  Instant store_again_at_{};
  std::string last_summary_;
  std::optional<WallTime> maintenance_since_;  // the oldest that is on
  std::int64_t maintenance_told_ = 0;          // reminders, of that one
  std::map<std::string, bool> told_failed_;    // per node, whether the last event about it said so
  // What became of each action, as it was told last; forgotten where the cluster's phase or the node's life changes.
  std::map<std::pair<ActionKind, std::string>, std::string> told_outcomes_;
};

}  // namespace pgkeel
