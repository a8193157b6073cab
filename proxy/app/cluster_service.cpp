#include "proxy/app/cluster_service.h"

#include <algorithm>
#include <utility>

#include "proxy/app/policy_of.h"
#include "proxy/app/record_parts.h"
#include "proxy/io/clock.h"
#include "proxy/io/loop.h"
#include "replication/decide/orders.h"
#include "replication/execute/order_line.h"

namespace pgkeel {
namespace {

constexpr Duration kTellAgain = std::chrono::minutes(1);

// What is called by either of two, and acts when both have called it.
std::function<void()> after_both(std::function<void()> act) {
  return [calls = std::make_shared<int>(0), act = std::move(act)] {
    if (++*calls == 2) act();
  };
}

}  // namespace

ClusterService::ClusterService(Loop& loop, const ClusterConfig& config, const QuarantineConfig& quarantine,
                               ClusterMemory memory, std::string adopt, StateDirectory& state, EventLog& events,
                               DecisionLog& decisions, WorkerPool& workers, RoutePublisher publish)
    : loop_(loop),
      config_(config),
      state_(state),
      events_(events),
      workers_(workers),
      publish_(std::move(publish)),
      monitor_(
          loop, config_, [this] { step(); },
          [this](const std::string& node) { return workers_.last_bytes_from(config_.name, node); }),
      commit_waits_([this](const std::string& node, std::string sql, Duration limit, auto done) {
        monitor_.run_sql(node, std::move(sql), limit, std::move(done));
      }),
      scram_verifiers_(
          [this](const std::string& node, std::string sql, Duration limit, auto done) {
            monitor_.run_sql_for_clients(node, std::move(sql), limit, std::move(done));
          },
          [this](LogLevel severity, const std::string& node, const std::string& text) {
            record_of_node(severity, "node", node, text);
          }),
      agents_(make_agent_links()),
      executor_(
          loop, config_, monitor_, hosts(), [this](const ActionStatus& outcome) { action_ended(outcome); },
          [this](const std::string& node, const std::string& line) {
            keeper_.look_soon();
            if (!progress_.take(node, line)) return;
            if (controller_.is_repetition(ActionKind::kRejoin, node))
              return log(LogLevel::kInfo, config_.name, node + ": " + line);
            record_of_node(LogLevel::kInfo, "progress", node, line);
          }),
      controller_(config_.name, policy_of(config_, adopt), memory, *this),
      keeper_(
          loop, config_, quarantine,
          [this](LogLevel severity, const std::string& node, const std::string& text) {
            record_now(severity, "lost", node, text);
          },
          [this](const LostReportStatus& report) {
            recorder_.found_lost(report.node, report.report, report.transactions, report.wal_bytes);
          }),
      readiness_(loop, config_, [this](const Finding& finding, bool appeared) { record_finding(finding, appeared); }),
      host_watch_(loop, hosts()),
      certificates_(
          loop, config_, [this](const ClusterTls& tls) { workers_.replace_tls(config_.name, tls); },
          [this](LogLevel severity, const std::string& text) { record_now(severity, "certificate", "", text); }),
      authorities_(
          loop_, [this](LogLevel severity, const std::string& text) { record_now(severity, "certificate", "", text); }),
      decisions_(decisions),
      recorder_(
          config_.name, [this](const DecisionRecord& record) { return tally_.kept(record, decisions_.keep(record)); },
          [this] { return clients_of(session_stats()); }),
      decide_again_(loop, [this] { step(); }),
      adopt_(std::move(adopt)),
      own_memory_(std::move(memory)) {
  executor_.line().tell_of_ended([this](const std::string& node, std::size_t sessions) {
    record_of_node(LogLevel::kWarning, "node", node,
                   "ended " + std::to_string(sessions) + (sessions == 1 ? " session" : " sessions") +
                       " of earlier orders, so that none of them is carried out after a newer one");
  });
  follow_read_only_config();
}

ClusterService::~ClusterService() {
  refuse_orders("pgkeel is shutting down");
}

void ClusterService::start(const std::map<std::string, Route>& open_routes) {
  if (!agreed_) {
    go_on_from(open_routes);
    recorder_.resume(decisions_.unfinished(config_.name), controller_.memory(), clocks_now());
  }
  monitor_.start();
  readiness_.start();
  host_watch_.start();
  certificates_.start();
  authorities_.watch(authorities_of(config_));
  keeper_.start();
  tell_agents_of_term();
  for (const auto& [node, agent] : agents_) agent->start();
  step_soon();
}

void ClusterService::link_evidence(const LinkEvidence& evidence) {
  if (evidence.kind == LinkEvidence::Kind::kNoAnswer) {
    note_unanswered_login(evidence);
    return;
  }
  if (evidence.kind == LinkEvidence::Kind::kNotSecure) {
    note_insecure_server(evidence);
    return;
  }
  // What a link saw of the present route is worth an immediate probe; the probe decides.
  if (evidence.kind == LinkEvidence::Kind::kOwnTrouble) {
    const Instant now = monotonic_now();
    if (own_trouble_told_at_ != Instant{} && now - own_trouble_told_at_ < kTellAgain) return;
    own_trouble_told_at_ = now;
    log(LogLevel::kWarning, "session",
        evidence.node + " could not be connected for reasons of our own: " + evidence.detail);
    return;
  }
  if (evidence.epoch == controller_.memory().epoch) monitor_.probe_now(evidence.node);
}

void ClusterService::read_verifier(const VerifierQuestion& question, const VerifierSink& sink) {
  scram_verifiers_.read(question.node, question.user, sink);
}

void ClusterService::judge_cancel(const CancelQuestion& question, CancelAnswer answer) {
  commit_waits_.may_cancel(question.node, question.process_id, std::move(answer));
}

ClusterService::ProvisionQuestion ClusterService::provision_question(const std::string& node) const {
  const auto primary = monitor_.health(controller_.memory().primary, monotonic_now()).last_answered;
  return {executor_.host(node), primary && primary->facts ? primary->facts->server_version_number : 0};
}

void ClusterService::note_insecure_server(const LinkEvidence& evidence) {
  const Instant now = monotonic_now();
  if (evidence.epoch == controller_.memory().epoch && evidence.node == controller_.published_route().node)
    login_watch_.unanswered(evidence.node, evidence.epoch, session_stats().logins, evidence.detail, now);
  if (insecurity_told_at_ != Instant{} && now - insecurity_told_at_ < kTellAgain) return;
  insecurity_told_at_ = now;
  record_of_node(LogLevel::kWarning, "node", evidence.node, "clients cannot be led there: " + evidence.detail);
}

void ClusterService::note_unanswered_login(const LinkEvidence& evidence) {
  // Where probes fail too, the failure detector knows better.
  if (evidence.epoch != controller_.memory().epoch || evidence.node != controller_.published_route().node) return;
  const Instant now = monotonic_now();
  if (monitor_.health(evidence.node, now).suspicion.liveness != Liveness::kAlive) return;
  const bool is_news =
      login_watch_.unanswered(evidence.node, evidence.epoch, session_stats().logins, evidence.detail, now);
  if (!is_news) return;
  record_of_node(LogLevel::kWarning, "node", evidence.node,
                 login_watch_.note() +
                     ", although it answers probes; clients that are connected go on, and this alone is "
                     "no reason for a failover; is its postmaster stopped?");
}

void ClusterService::review_logins(Instant now) {
  if (login_watch_.note().empty()) return;
  const auto node = login_watch_.review(controller_.memory().epoch, session_stats().logins, now);
  if (node) record_of_node(LogLevel::kInfo, "node", *node, "new connections are accepted again");
  const auto trial = login_watch_.begin_trial(now);
  if (!trial) return;
  const auto tried = [this, alive = std::weak_ptr<bool>(alive_), trial = *trial](const Result<SqlRows, SqlError>& end) {
    if (alive.expired()) return;
    login_watch_.tried(trial, end.has_value() || !end.error().sqlstate.empty(), monotonic_now());
    step_soon();
  };
  monitor_.run_sql_apart(trial->node, "SELECT 1", trial->limit, tried, nullptr, Monitor::Session::kOfProbes);
}

void ClusterService::record_of_node(LogLevel severity, const char* kind, const std::string& node,
                                    const std::string& text) {
  record_now(severity, kind, node, node + ": " + text);
}

void ClusterService::record_now(LogLevel severity, const char* kind, const std::string& node, const std::string& text) {
  record({.id = 0,
          .when = wall_now(),
          .cluster = config_.name,
          .severity = severity,
          .kind = kind,
          .node = node,
          .epoch = controller_.memory().epoch,
          .text = text});
}

// What is only recommended is no event.
void ClusterService::record_finding(const Finding& finding, bool appeared) {
  if (finding.severity == FindingSeverity::kNotice) return;
  const std::string whose = finding.node.empty() ? "" : finding.node + ": ";
  record_now(appeared ? LogLevel::kWarning : LogLevel::kInfo, "readiness", finding.node,
             appeared ? "readiness: " + whose + finding.problem + "; " + finding.remedy
                      : "readiness: mended: " + whose + finding.problem);
}

ClusterSessionStats ClusterService::session_stats() const {
  for (auto& sessions : workers_.stats()) {
    if (sessions.cluster == config_.name) return std::move(sessions);
  }
  return {};
}

void ClusterService::step_soon() {
  if (std::exchange(step_is_due_, true)) return;
  loop_.defer([this, alive = std::weak_ptr<bool>(alive_)] {
    if (alive.expired()) return;
    step_is_due_ = false;
    step();
  });
}

void ClusterService::step() {
  const Now now = clocks_now();
  const auto nodes = view_nodes(now.instant);
  if (agreed_ && term_ != agreed_->term())
    agreement_changed();  // whoever wakes up decides nothing before it has looked
  tell_agents_of_term();
  if (agreed_) tell_of_sights(now.instant);
  if (agreed_ && term_ == 0) return look_on(nodes, now);
  if (waits_for_primary(nodes)) return;
  controller_.step(nodes, now);
  const Decision& decision = controller_.last_decision();
  recorder_.decided(controller_.memory(), nodes, decision.failover_refused, decision.condition == Condition::kNormal,
                    now);
  review_logins(now.instant);
  readiness_.cluster_is(controller_.published_route().node, nodes);
  if (read_only_) read_only_->review(nodes, maintained_nodes(), now.instant);
  const Instant again_at = controller_.decide_again_at();
  if (again_at == Instant::max()) {
    decide_again_.stop();
  } else {
    decide_again_.start_once(std::max<Duration>(again_at - now.instant, Duration::zero()));
  }
}

Result<ClusterController::Storing> ClusterService::store(const ClusterMemory& memory) {
  if (agreed_) return store_agreed(memory);
  if (const auto stored = state_.store(config_.name, memory); !stored) return stored.error();
  note_stored(memory);
  return ClusterController::Storing::kDurable;
}

// Durable, and not yet what the controller goes by.
void ClusterService::note_stored(const ClusterMemory& memory) {
  if (memory.phase == controller_.memory().phase) return;
  const Now now = clocks_now();
  recorder_.stored(controller_.memory(), memory, view_nodes(now.instant), now);
  const bool is_switchover = running_order(controller_.memory(), OrderKind::kSwitchover) != nullptr;
  counts_.stored(controller_.memory().phase, memory.phase, is_switchover, now.instant);
}

void ClusterService::publish_route(const RouteOrder& order) {
  const auto alive = std::weak_ptr<bool>(alive_);
  const auto applied = [this, order, alive] {
    if (alive.expired()) return;
    controller_.route_applied(order);
    recorder_.route_applied(order.epoch, order.node, clocks_now());
    step_soon();
  };
  const auto drained = [this, order, alive] {
    if (alive.expired()) return;
    controller_.route_drained(order);
    recorder_.route_drained(clocks_now());
    step_soon();
  };
  if (agreed_) return agreed_->publish(order, applied, drained);
  lead(order, applied, drained);
}

// The workers of this process, and those of former ones.
void ClusterService::lead(const RouteOrder& order, std::function<void()> applied, std::function<void()> drained) {
  Route route = route_of(order);
  if (!read_only_) return publish_(config_.name, std::move(route), std::move(applied), std::move(drained));
  const auto applied_by_both = after_both(std::move(applied));
  const auto drained_by_both = after_both(std::move(drained));
  publish_(config_.name, std::move(route), applied_by_both, drained_by_both);
  lead_readers(order, applied_by_both, drained_by_both);
}

void ClusterService::lead_readers(const RouteOrder& order, std::function<void()> applied,
                                  std::function<void()> drained) {
  const Instant now = monotonic_now();
  read_only_->follow(order, view_nodes(now), maintained_nodes(), now, std::move(applied), std::move(drained));
}

// The read-only endpoint is there or not, as it is configured.
void ClusterService::follow_read_only_config() {
  if (!config_.has_read_only_endpoint()) {
    read_only_.reset();
  } else if (read_only_) {
    read_only_->reconfigure(config_);
  } else {
    read_only_.emplace(
        config_,
        [this](Route route, std::function<void()> applied, std::function<void()> drained) {
          publish_(read_only_name(), std::move(route), std::move(applied), std::move(drained));
        },
        [this](LogLevel severity, const std::string& text) { record_now(severity, "read-only", "", text); });
  }
}

std::set<std::string> ClusterService::maintained_nodes() const {
  std::set<std::string> names;
  for (const auto& [node, maintenance] : controller_.memory().nodes_maintained) names.insert(node);
  return names;
}

void ClusterService::action_ended(const ActionStatus& outcome) {
  --unfinished_actions_;
  if (outcome.action.kind == ActionKind::kRejoin) progress_.ended(outcome.action.node);
  if (!agreed_ || term_ != 0) {
    recorder_.finished(outcome, clocks_now());
    controller_.finished(outcome, clocks_now());
  }
  if (outcome.action.kind == ActionKind::kRejoin) keeper_.look_soon();
  step();
}

void ClusterService::start(const Action& action) {
  ++unfinished_actions_;
  recorder_.started(action, clocks_now());
  executor_.start(action);
}

void ClusterService::break_off(const Action& action) {
  executor_.break_off(action);
}

void ClusterService::record(const Event& event) {
  const Event recorded = events_.record(event);
  log(recorded.severity, recorded.cluster, recorded.text);
}

std::vector<NodeView> ClusterService::view_nodes(Instant now) const {
  std::vector<NodeView> nodes;
  for (const auto& config : config_.nodes) {
    const auto health = monitor_.health(config.name, now);
    NodeView view;
    view.name = config.name;
    view.address = config.address;
    view.priority = config.priority;
    view.local_doubt = executor_.local_doubt(config.name);
    view.local = executor_.has_host(config.name) && view.local_doubt.empty();
    if (const HostFacts* host = host_watch_.host(config.name); host != nullptr) {
      for (const auto& disk : host->disks) view.room[disk.path] = disk.free_bytes;
    }
    view.suspicion = health.suspicion;
    if (agreed_ && config.name == controller_.memory().primary) view.suspicion = sight_of_primary(now).suspicion;
    if (health.last_answered) {
      view.facts = health.last_answered->facts;
      view.facts_at = health.last_answered->started_at;
    }
    nodes.push_back(std::move(view));
  }
  return nodes;
}

}  // namespace pgkeel
