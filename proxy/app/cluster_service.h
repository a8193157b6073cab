// One cluster at work: its monitor, its controller, its executor, and the wires between them and the data path.
// Control thread only.
#pragma once

#include <functional>
#include <map>
#include <memory>
#include <optional>
#include <set>
#include <string>
#include <vector>

#include "config/config.h"
#include "health/monitor.h"
#include "proxy/admin/cluster_status.h"
#include "proxy/app/agreed_cluster.h"
#include "proxy/app/certificate_calendar.h"
#include "proxy/app/certificate_watch.h"
#include "proxy/app/change_counts.h"
#include "proxy/app/commit_waits.h"
#include "proxy/app/decision_tally.h"
#include "proxy/app/host_watch.h"
#include "proxy/app/leadership.h"
#include "proxy/app/login_watch.h"
#include "proxy/app/progress_board.h"
#include "proxy/app/quarantine_keeper.h"
#include "proxy/app/read_only_access.h"
#include "proxy/app/readiness_watch.h"
#include "proxy/app/scram_verifiers.h"
#include "proxy/io/timer.h"
#include "proxy/listener/worker_pool.h"
#include "replication/execute/agent_link.h"
#include "replication/execute/cluster_controller.h"
#include "replication/execute/cluster_executor.h"
#include "replication/execute/decision_recorder.h"
#include "replication/state/decision_log.h"
#include "replication/state/event_log.h"
#include "replication/state/state_directory.h"

namespace pgkeel {

// As WorkerPool::publish_route().
using RoutePublisher = std::function<void(const std::string& endpoint, Route route, std::function<void()> applied,
                                          std::function<void()> drained)>;

class ClusterService final : private ClusterController::Effects {
 public:
  // The references outlive the service. `adopt`: the node that the operator wants as the primary; empty: none.
  ClusterService(Loop& loop, const ClusterConfig& config, const QuarantineConfig& quarantine, ClusterMemory memory,
                 std::string adopt, StateDirectory& state, EventLog& events, DecisionLog& decisions,
                 WorkerPool& workers, RoutePublisher publish);

  ~ClusterService() override;

  // One of several pgkeels: what it decides, and where it leads, is agreed on through this. Before start().
  // `sights`: what the others hear from a node, as a primary.
  using Sights = std::function<std::vector<OtherSight>(const std::string& node)>;
  void agree_through(Coordination& coordination, Sights sights, std::function<void(Instant until)> set_write_deadline);
  // What they agree on, or what this one may do, may have changed.
  void review_agreement();
  void review_write_deadline();  // part of that

  // What the others see may have changed.
  void sights_changed();
  [[nodiscard]] LedCluster as_led() const;
  // What would keep this pgkeel from deciding for the cluster, or does.
  [[nodiscard]] std::optional<Obstacle> obstacle() const;
  // It is late, or failed, as far as this pgkeel alone can tell.
  [[nodiscard]] bool primary_is_doubtful() const;

  // `open_routes`: where its endpoints lead already, as the process that decided before had it, by name.
  void start(const std::map<std::string, Route>& open_routes);
  [[nodiscard]] const std::string& name() const { return config_.name; }

  // Why no other process may decide from now on; empty: it may, by what is stored and by the route of now.
  [[nodiscard]] std::string why_no_handover() const;
  // Of that, what is not over in a moment.
  [[nodiscard]] std::string why_no_handover_soon() const;
  [[nodiscard]] std::map<std::string, Route> open_routes() const;  // by the names of the endpoints

  // Why it cannot be reconfigured so now; `wanted` is null where the cluster shall be no more. Empty: it can.
  [[nodiscard]] std::vector<std::string> refusals(const ClusterConfig* wanted) const;
  // As a whole, between two decisions. The data path has been reloaded before.
  void reconfigure(const ClusterConfig& wanted, const QuarantineConfig& quarantine);

  void link_evidence(const LinkEvidence& evidence);
  void read_verifier(const VerifierQuestion& question, const VerifierSink& sink);
  void judge_cancel(const CancelQuestion& question, CancelAnswer answer);

  // `answered` is called once: at once, or, where others have to agree, when what is accepted is durable.
  using OrderAnswered = std::function<void(OrderAnswer)>;
  void give_order(const OperatorOrder& order, bool preview, OrderAnswered answered);

  // What the host of a node is asked before the node is provisioned. The asking blocks: not on this thread.
  struct ProvisionQuestion {
    std::shared_ptr<const NodeHost> host;  // nullptr: nobody can ask there
    std::uint32_t primary_version = 0;     // 0: it is not known
  };
  [[nodiscard]] ProvisionQuestion provision_question(const std::string& node) const;

  [[nodiscard]] ClusterStatus status() const;
  [[nodiscard]] bool jobs_run() const { return executor_.jobs_run() || readiness_.looks() || keeper_.jobs_run(); }

 private:
  [[nodiscard]] Route route_of(const RouteOrder& order) const;
  [[nodiscard]] std::string what_is_under_way() const;
  // Of that, what is not over in a moment.
  [[nodiscard]] std::string what_is_long_under_way() const;
  void go_on_from(const std::map<std::string, Route>& open_routes);
  [[nodiscard]] bool waits_for_primary(const std::vector<NodeView>& nodes);
  Result<ClusterController::Storing> store(const ClusterMemory& memory) override;
  void note_stored(const ClusterMemory& memory);
  void publish_route(const RouteOrder& order) override;
  void lead(const RouteOrder& order, std::function<void()> applied, std::function<void()> drained);
  void start(const Action& action) override;
  void break_off(const Action& action) override;
  void record(const Event& event) override;

  [[nodiscard]] std::map<std::string, std::unique_ptr<AgentLink>> make_agent_links();
  [[nodiscard]] std::unique_ptr<AgentLink> make_agent_link(const NodeConfig& node);
  [[nodiscard]] ClusterExecutor::Hosts hosts() const;
  [[nodiscard]] std::shared_ptr<const NodeHost> make_host(const NodeConfig& node) const;
  void record_of_node(LogLevel severity, const char* kind, const std::string& node, const std::string& text);
  void record_now(LogLevel severity, const char* kind, const std::string& node, const std::string& text);
  void note_insecure_server(const LinkEvidence& evidence);
  void note_unanswered_login(const LinkEvidence& evidence);
  void review_logins(Instant now);
  [[nodiscard]] ClusterSessionStats session_stats() const;
  void record_finding(const Finding& finding, bool appeared);
  // cluster_agreement.cpp
  void agreement_changed();
  [[nodiscard]] Result<ClusterMemory> agreed_memory() const;
  void begin_term(std::uint64_t term);
  void end_term();
  void learn();
  void tell_unreadable(const std::string& problem);
  void look_on(const std::vector<NodeView>& nodes, Now now);
  void tell_agents_of_term();
  Result<ClusterController::Storing> store_agreed(const ClusterMemory& memory);
  void refuse_orders(const std::string& why);
  void add_agreement(ClusterStatus& status) const;
  [[nodiscard]] SharedSight sight_of_primary(Instant now) const;
  void tell_of_sights(Instant now);

  void action_ended(const ActionStatus& outcome);
  void step();
  void step_soon();
  [[nodiscard]] std::string read_only_name() const { return endpoint_name(config_.name, Endpoint::kReadOnly); }
  void follow_read_only_config();
  void lead_readers(const RouteOrder& order, std::function<void()> applied, std::function<void()> drained);
  [[nodiscard]] std::set<std::string> maintained_nodes() const;
  [[nodiscard]] std::vector<NodeView> view_nodes(Instant now) const;
  [[nodiscard]] NodeStatus status_of(const NodeConfig& node, Instant now) const;

  Loop& loop_;
  ClusterConfig config_;
  StateDirectory& state_;
  EventLog& events_;
  WorkerPool& workers_;
  const RoutePublisher publish_;
  Monitor monitor_;
  CommitWaits commit_waits_;
  ScramVerifiers scram_verifiers_;
  std::map<std::string, std::unique_ptr<AgentLink>> agents_;
  ClusterExecutor executor_;
  ClusterController controller_;
  QuarantineKeeper keeper_;
  ReadinessWatch readiness_;
  HostWatch host_watch_;
  CertificateWatch certificates_;
  CertificateCalendar authorities_;
  ProgressBoard progress_;
  DecisionLog& decisions_;
  DecisionRecorder recorder_;
  Timer decide_again_;
  std::shared_ptr<bool> alive_ = std::make_shared<bool>(true);  // answers of other threads may come when this is gone
  bool step_is_due_ = false;
  bool primary_is_unseen_ = false;  // the access point leads there, as another process has decided
  ChangeCounts counts_;
  DecisionTally tally_;
  LoginWatch login_watch_;
  // Of several pgkeels.
  struct WaitingOrder {
    OperatorOrder order;
    OrderAnswered answered;
  };
  std::string adopt_;
  ClusterMemory own_memory_;  // what this pgkeel knew when it started
  std::optional<AgreedCluster> agreed_;
  Sights sights_;
  std::string told_heard_by_;
  std::uint64_t term_ = 0;             // in which the controller decides; 0: it does not
  std::uint64_t tenure_ = 0;           // counts the controllers that decided: a lease may hold, and its term come back
  std::uint64_t learned_version_ = 0;  // of the memory that it looks at
  std::size_t unfinished_actions_ = 0;
  std::function<void(const Result<void>&)> order_stored_;  // answers who gave it
  std::vector<WaitingOrder> waiting_orders_;
  std::string unreadable_;  // why what etcd keeps of the cluster cannot be read; empty: it can
  Instant unreadable_told_at_{};
  std::optional<ReadOnlyAccess> read_only_;  // where there is such an endpoint
  Instant own_trouble_told_at_{};
  Instant insecurity_told_at_{};
};

}  // namespace pgkeel
