// `pgkeel serve`: builds the parts, starts and stops them in order. The thread that calls run() is the control thread.
//
// The data path (workers_) lives as long as the process. What decides and shows (state, logs, clusters, admin endpoint)
// is given up when another process takes over, see application_handover.cpp.
#pragma once

#include <atomic>
#include <cstdint>
#include <functional>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "config/config.h"
#include "proxy/admin/admin_server.h"
#include "proxy/admin/reload_answer.h"
#include "proxy/app/admin_certificate.h"
#include "proxy/app/certificate_calendar.h"
#include "proxy/app/cluster_service.h"
#include "proxy/app/configuration_ledger.h"
#include "proxy/app/leadership.h"
#include "proxy/app/unserved_clusters.h"
#include "proxy/base/result.h"
#include "proxy/handover/former_mark.h"
#include "proxy/handover/former_process.h"
#include "proxy/handover/handover_giver.h"
#include "proxy/handover/takeover.h"
#include "proxy/io/loop.h"
#include "proxy/io/loop_lag.h"
#include "proxy/io/service_manager.h"
#include "proxy/io/signal_watch.h"
#include "proxy/io/timer.h"
#include "proxy/io/wakeup.h"
#include "proxy/listener/worker_pool.h"
#include "proxy/vip/vip_agreement.h"
#include "proxy/vip/vip_holder.h"
#include "replication/coordination/coordinator.h"
#include "replication/execute/job_runner.h"
#include "replication/peers/peer_circle.h"
#include "replication/state/decision_log.h"
#include "replication/state/event_log.h"
#include "replication/state/state_directory.h"

namespace pgkeel {

struct StartOptions {
  std::string config_path;                   // where the configuration was read
  std::map<std::string, std::string> adopt;  // per cluster the node that the operator wants as its primary
  bool take_over = false;                    // from a pgkeel that works with the same state, if there is one
};

class Application final : private HandoverGiver::Owner {
 public:
  // On an error nothing is left running, and a pgkeel that should have been taken over from goes on.
  static Result<std::unique_ptr<Application>> create(const Config& config, StartOptions options);
  ~Application() override;

  // Serves until SIGTERM or SIGINT, then ends every client with 57P01 (SIGTERM: behind its transaction, see
  // stop_drain()) and returns; or until another process has taken over and the last session that stayed here has ended.
  void run();

  // A program (pg_rewind, …) still runs on a job thread: leave the process without waiting for it.
  [[nodiscard]] bool jobs_run() const;

 private:
  Application(const Config& config, StartOptions options);

  static constexpr Duration kStopLimit = std::chrono::seconds(5);

  // application.cpp
  Result<void> start(std::uint64_t descriptor_limit, std::optional<Takeover>& takeover);
  Result<void> start_data_path(std::uint64_t descriptor_limit, std::optional<Takeover>& takeover);
  Result<void> open_control();
  void start_control(const std::map<std::string, Route>& open_routes);
  Result<void> start_admin();
  [[nodiscard]] std::string admin_url() const;
  void watch_signals();
  [[nodiscard]] std::unique_ptr<ClusterService> make_cluster(const ClusterConfig& config, ClusterMemory memory,
                                                             std::string adopt);
  [[nodiscard]] ClusterService* find_cluster(const std::string& name) const;
  // Any other thread: has the control thread answer, at once or (ask_later) when it can. Nothing: it did not begin to
  // in time, and never will.
  template <class Answer>
  std::optional<Answer> ask(std::function<Answer()> question);
  template <class Answer>
  std::optional<Answer> ask_later(std::function<void(std::function<void(Answer)>)> question);
  [[nodiscard]] std::optional<std::vector<ClusterStatus>> ask_clusters();
  std::optional<OrderAnswer> give_order(const std::string& cluster, const OperatorOrder& order, bool preview);
  std::optional<OrderAnswer> put_order(const std::string& cluster, const OperatorOrder& order, bool preview);
  std::string objection_of_host(const std::string& cluster, const OperatorOrder& order);
  void audit(const std::string& text);
  void record(LogLevel severity, const std::string& kind, const std::string& text);
  void write_admin_address() const;
  [[nodiscard]] std::vector<LoopStatus> loops() const;  // any thread

  // application_stop.cpp
  void stop_by_signal(int number);
  [[nodiscard]] Duration stop_drain() const;  // how long a transaction may go on after SIGTERM
  void hand_over_before_stop(std::function<void()> then);
  [[nodiscard]] std::string why_nobody_leads() const;
  void begin_stop_drain(const std::string& why);
  void begin_stop(const std::string& why);
  // From the first signal on.
  [[nodiscard]] bool is_ending() const { return stopping_ || hands_over_for_stop_ || drain_for_stop_ != nullptr; }

  // application_reload.cpp
  // A reload that was looked into, and has changed nothing yet.
  struct Reload {
    ReloadAnswer answer;
    Config wanted;                                  // as far as a running process can follow the file
    std::map<std::string, ClusterMemory> memories;  // of clusters that are new
    std::shared_ptr<AccessChange> access;
    AdminTls admin_tls;
  };
  // `preview`: only what it would change.
  ReloadAnswer reload(const std::string& by, bool preview);
  [[nodiscard]] Reload prepare_reload();
  [[nodiscard]] std::string why_no_reload() const;
  void carry_out(Reload& reload);

  // application_coordination.cpp
  Result<void> open_coordination();
  [[nodiscard]] Result<void> check_membership(const std::optional<MovedMembership>& given) const;
  void give_up_membership();
  Result<void> open_peers();
  Result<void> open_vip();
  void vip_is_leaving(const IpAddress& address);
  [[nodiscard]] bool vip_can_wait() const;  // for those who are logging in
  void vip_stays();
  void vip_has_left();
  void review_while_stopping();
  void clients_of_vip_are_told(std::uint64_t farewell);
  [[nodiscard]] PeerView own_view() const;
  void agreement_changed();
  void add_agreement(ClusterStatus& status) const;
  void review_unserved();
  // A process that decided, and dies or ends: its handover socket is closed before its lock and its ports, and the
  // kernel may release those behind its death (fput() of a process that exits is put off).
  static constexpr Duration kDyingTakes = std::chrono::seconds(5);
  // How long those may take that are logging in when this pgkeel is ended, or the virtual IP goes: the sessions of
  // others need not wait for a login that hangs.
  static constexpr Duration kLoginsTake = std::chrono::seconds(1);
  // Somebody for whom it is worth to wait: a connection that says nothing must not hold everybody up.
  [[nodiscard]] bool somebody_logs_in(Instant waited_since) const;
  void stop_among_others(bool next_one_listens);
  void end_clients_among_others(bool next_one_listens);
  void no_client_is_served();
  void sights_changed();
  std::optional<LeadAnswer> order_to_lead(const LeadRequest& request, const std::string& by);
  void leave_the_others();
  void stop_has_come_on();

  // application_handover.cpp
  void record_takeover(pid_t former, const std::optional<Inheritance>& inheritance, bool it_lives);
  void take_over(Inheritance inheritance, std::optional<FormerHandle> former);
  // Where nobody gave us the former processes of whoever decided before.
  Result<void> end_lost_formers();
  void add_former(FormerHandle handle);
  void former_is_gone(pid_t pid, const std::string& reason);
  void tell_service_manager();
  Result<void> start_successor();
  [[nodiscard]] ProcessStatus process_status() const;
  [[nodiscard]] std::vector<LinkMessage> all_that_it_needs() const;
  void look_at_drain();
  void session_leaves(const std::string& cluster, MovedSession session);
  void close_at(const std::string& cluster, Instant until);
  void close_where_time_is_over(const std::string& cluster);
  [[nodiscard]] std::string why_no_handover() const override;
  [[nodiscard]] std::string why_no_handover_soon() const override;
  [[nodiscard]] std::vector<NamedSocket> listening_sockets() const override;
  void get_ready(std::function<void()> ready) override;
  void give_up(pid_t successor, std::function<void(std::vector<LinkMessage>)> given) override;
  void take_back(bool released) override;
  void let_go() override;
  void successor_serves(pid_t successor) override;
  // Both on the workers of this process, and on those of former ones.
  void set_write_deadline(const std::string& cluster, Instant until) override;
  void publish_route(const std::string& cluster, Route route, std::function<void()> applied,
                     std::function<void()> drained) override;
  void end_clients_of(const IpAddress& address) override;
  void end_sessions(const std::string& why, std::function<void()> ended) override;
  [[nodiscard]] bool may_follow(const std::string& cluster, const Route& route) const override;
  void end(const std::string& why) override;
  void handover_failed(const std::string& why) override;

  Config config_;
  const StartOptions options_;
  const std::string program_;  // the path of our own, at the start
  ConfigurationLedger configuration_;
  const ServiceManager service_manager_;
  Loop loop_;
  LoopLag loop_lag_{loop_};
  std::unique_ptr<Wakeup> wakeup_;
  std::atomic<bool> has_ended_{false};  // the control thread answers nobody any more
  std::unique_ptr<WorkerPool> workers_;
  Socket admin_socket_;

  std::unique_ptr<StateDirectory> state_;
  std::optional<FormerMark> former_mark_;  // while another process decides
  std::unique_ptr<EventLog> events_;
  std::unique_ptr<DecisionLog> decisions_;
  std::optional<MovedMembership>
      membership_;                            // between two processes: as which of several pgkeels the next one goes on
  std::unique_ptr<Coordinator> coordinator_;  // of several pgkeels; before the clusters, which use it
  std::unique_ptr<PeerCircle> peers_;
  std::unique_ptr<VipHolder> vip_;  // where this host can have one
  std::unique_ptr<VipAgreement> vip_agreement_;
  std::unique_ptr<Leadership> leadership_;
  std::optional<UnservedClusters> unserved_;
  std::string told_coordination_problem_;
  Instant coordination_problem_told_at_{};
  std::uint64_t told_term_ = 0;
  std::vector<std::unique_ptr<ClusterService>> clusters_;
  std::unique_ptr<AdminServer> admin_;
  AdminCertificate admin_certificate_;
  CertificateCalendar coordination_certificates_;

  std::vector<std::unique_ptr<SignalWatch>> signals_;
  JobRunner jobs_;
  std::unique_ptr<HandoverGiver> giver_;
  std::unique_ptr<Timer> quiet_;  // before it gives up
  std::map<pid_t, std::unique_ptr<FormerProcess>> formers_;
  WorkerPool::Moved given_sessions_;           // of which nobody knows yet to whom they belong
  std::map<std::string, Route> given_routes_;  // as they were when we gave up, or were ordered since
  std::map<std::string, Instant> write_deadlines_;
  std::map<std::string, std::unique_ptr<Timer>> write_deadline_timers_;  // from when we give up
  std::map<std::string, std::uint64_t> told_draining_;
  std::string last_failure_;  // of a handover
  std::uint64_t failures_ = 0;
  Timer drain_look_;
  Timer drain_limit_;
  bool stopping_ = false;
  bool hands_over_for_stop_ = false;
  std::unique_ptr<Timer> drain_for_stop_;  // while open transactions may finish
  std::unique_ptr<Timer> stop_step_;       // of a stop among others
  std::vector<NamedSocket> deaf_sockets_;  // which must not refuse anybody as long as the virtual IP is here
  int stop_waits_for_ = 0;
  Timer hears_again_;                // at the virtual IP, which is leaving
  std::unique_ptr<Timer> farewell_;  // to those who came by it
  bool vip_leaves_ = false;          // or has left
  std::uint64_t vip_farewells_ = 0;  // said so far
};

}  // namespace pgkeel
