#include "replication/execute/cluster_executor.h"

#include <algorithm>
#include <exception>
#include <utility>

#include "config/find.h"
#include "health/monitor.h"
#include "proxy/io/clock.h"
#include "proxy/io/loop.h"
#include "replication/execute/release_action.h"
#include "replication/execute/slot_actions.h"
#include "replication/execute/sql_actions.h"
#include "replication/execute/sync_actions.h"

namespace pgkeel {
namespace {

using namespace std::chrono_literals;

constexpr Duration kFenceLimit = 5s;
constexpr Duration kStopLimit = 30s;
constexpr Duration kStartLimit =
    10s;  // crash recovery may take longer: the server goes on, and can be fenced meanwhile

ActionStatus outcome_of(const Action& action, const Result<void>& result, std::string message) {
  ActionStatus status;
  status.action = action;
  status.succeeded = result.has_value();
  status.message = result ? std::move(message) : result.error().message;
  return status;
}

Result<std::string> start_again(const NodeHost& host) {
  const auto started = host.start(kStartLimit);
  if (!started) return started.error();
  return std::string("started again");
}

// What the standard library throws on a thread (no memory, a disk that fails under an iterator) must not end the proxy.
ActionStatus work_or_error(const Action& action, const std::function<ActionStatus(const JobRunner::Post& post)>& work,
                           const JobRunner::Post& post) {
  try {
    return work(post);
  } catch (const std::exception& problem) {
    return outcome_of(action, Error{problem.what()}, "");
  }
}

}  // namespace

// Answers of the monitor may come after the executor is gone; they then find nobody to tell.
struct ClusterExecutor::Context {
  Context(Loop& event_loop, ClusterConfig config, Monitor& nodes, std::function<void(const ActionStatus&)> on_finished,
          std::function<void(const std::string&, const std::string&)> on_progress)
      : loop(event_loop),
        cluster(std::move(config)),
        monitor(nodes),
        line(event_loop, nodes),
        finished(std::move(on_finished)),
        progress(std::move(on_progress)) {}

  Loop& loop;
  ClusterConfig cluster;
  Monitor& monitor;
  OrderLine line;
  std::function<void(const ActionStatus&)> finished;
  std::function<void(const std::string&, const std::string&)> progress;
  std::shared_ptr<const bool> wanted = std::make_shared<const bool>(true);

  [[nodiscard]] SqlConversation conversation() {
    return {loop, monitor, line, cluster, [] { return monotonic_now(); }, wanted};
  }
};

ClusterExecutor::ClusterExecutor(Loop& loop, const ClusterConfig& cluster, Monitor& monitor, Hosts hosts,
                                 std::function<void(const ActionStatus&)> finished,
                                 std::function<void(const std::string&, const std::string&)> progress)
    : jobs_(loop),
      hosts_(std::move(hosts)),
      context_(std::make_shared<Context>(loop, cluster, monitor, std::move(finished), std::move(progress))) {}

ClusterExecutor::~ClusterExecutor() {
  context_->finished = nullptr;
  context_->progress = nullptr;
  context_->wanted.reset();
}

void ClusterExecutor::reconfigure(const ClusterConfig& cluster, Hosts hosts) {
  context_->cluster = cluster;
  hosts_ = std::move(hosts);
}

OrderLine& ClusterExecutor::line() {
  return context_->line;
}

const OrderLine& ClusterExecutor::line() const {
  return context_->line;
}

void ClusterExecutor::start(const Action& action) {
  const auto found = hosts_.find(action.node);
  const std::string doubt = local_doubt(action.node);
  const Host host = found != hosts_.end() && doubt.empty() ? found->second->in_term(context_->line.term()) : nullptr;
  const auto done = [context = context_](const ActionStatus& status) {
    context->loop.defer([context, status] {
      if (context->finished) context->finished(status);
    });
  };
  if (const auto may = context_->line.may_act(); !may && action.kind != ActionKind::kProbe)
    return done(outcome_of(action, may, ""));
  switch (action.kind) {
    case ActionKind::kProbe:
      context_->monitor.probe_now(action.node);
      return done(outcome_of(action, {}, ""));
    case ActionKind::kFence:
      return host ? fence_host(action, host) : fence_by_sql(context_->conversation(), action, done);
    case ActionKind::kPromote:
      return promote(context_->conversation(), action, done);
    case ActionKind::kFollow:
      return follow(context_->conversation(), action, done);
    case ActionKind::kDropSlot:
      return drop_slot(context_->line, action, done);
    case ActionKind::kKeepSlot:
      return keep_slot(context_->line, action, done);
    case ActionKind::kSetStandbyNames:
      return set_standby_names(context_->conversation(), action, done);
    case ActionKind::kCutOff:
      return cut_off(context_->conversation(), action, done);
    case ActionKind::kCheckpoint:
      return checkpoint(context_->conversation(), action, done);
    case ActionKind::kRelease:
      return release(context_->conversation(), action, done);
    case ActionKind::kRejoin:
    case ActionKind::kStartServer:
    case ActionKind::kStopServer:
    case ActionKind::kExamine:
      break;
  }
  if (!host) {
    return done(
        outcome_of(action, Error{doubt.empty() ? action.node + " has no agent and is not on this host" : doubt}, ""));
  }
  if (action.kind == ActionKind::kRejoin) return rejoin(action, host);
  if (action.kind == ActionKind::kStartServer) return start_server(action, host);
  if (action.kind == ActionKind::kStopServer) return stop_server(action, host);
  examine(action, host);
}

void ClusterExecutor::break_off(const Action& action) {
  const auto work = breakable_.find(action.node);
  if (work == breakable_.end()) return;
  work->second.source.request_stop();
  if (!std::exchange(work->second.prepares_upstream, false)) return;
  // Nothing of the node was touched yet; whether the upstream answers still is of no interest.
  context_->loop.defer([context = context_, action] {
    if (context->finished) context->finished(broken_off(action));
  });
}

ActionStatus ClusterExecutor::broken_off(const Action& action) {
  return outcome_of(action, Error{"broken off, because " + action.node + " is to be fenced"}, "");
}

std::string ClusterExecutor::local_doubt(const std::string& node) const {
  const auto host = hosts_.find(node);
  if (host == hosts_.end()) return {};
  auto doubt = context_->monitor.health(node, monotonic_now()).local_doubt;
  return doubt.empty() ? host->second->doubt() : doubt;
}

void ClusterExecutor::run_job(const Action& action, Work work, Finished finished) {
  const auto started =
      jobs_.run([action, work = std::move(work), finished](const JobRunner::Post& post) -> JobRunner::Task {
        return [finished, status = work_or_error(action, work, post)] { finished(status); };
      });
  if (started) return;
  context_->loop.defer([finished, status = outcome_of(action, started, "")] { finished(status); });
}

void ClusterExecutor::run_job(const Action& action, Work work) {
  run_job(action, std::move(work), [context = context_](const ActionStatus& status) {
    if (context->finished) context->finished(status);
  });
}

// Where the host cannot do it (its agent died meanwhile, a process does not end), SQL is tried.
void ClusterExecutor::fence_host(const Action& action, const Host& host) {
  const auto work = [action, host](const JobRunner::Post&) {
    ActionStatus status = outcome_of(action, host->fence(kFenceLimit), "proven stopped: no process of it is left");
    status.fence = status.succeeded ? FenceStrength::kProvenStopped : FenceStrength::kNone;
    return status;
  };
  run_job(action, work, [context = context_](const ActionStatus& status) {
    if (!context->finished) return;
    if (status.succeeded) return context->finished(status);
    fence_by_sql(context->conversation(), status.action, [context, why = status.message](ActionStatus by_sql) {
      by_sql.message += "; its host could not do it: " + why;
      if (context->finished) context->finished(by_sql);
    });
  });
}

void ClusterExecutor::rejoin(const Action& action, const Host& host) {
  const auto health = context_->monitor.health(action.upstream, monotonic_now());
  const NodeConfig* upstream_config = find_node_config(context_->cluster, action.upstream);
  if (!health.last_answered || !health.last_answered->facts || upstream_config == nullptr) {
    context_->loop.defer([context = context_, action] {
      if (context->finished)
        context->finished(outcome_of(action, Error{action.upstream + " has not been heard from"}, ""));
    });
    return;
  }
  RejoinOrder wanted;
  wanted.upstream.node = action.upstream;
  wanted.upstream.address = upstream_config->address;
  wanted.upstream.replication = context_->cluster.replication;
  wanted.upstream.tls = context_->cluster.server_tls;
  wanted.upstream.timeline = health.last_answered->facts->timeline;
  wanted.upstream.timeline_history = health.last_answered->facts->timeline_history;
  wanted.leave_what_rests = !action.old_primary && !action.ordered;
  wanted.options = {.rebuild = action.rebuild, .discard_old_data = action.discard_old_data};
  const auto suspicion = context_->monitor.health(action.node, monotonic_now()).suspicion;
  wanted.leave_what_starts = !action.old_primary && suspicion.liveness == Liveness::kDead;

  const std::stop_source breakable;
  const auto work = [action, host = host->breakable(breakable.get_token()), wanted, stop = breakable.get_token(),
                     context = context_](const std::string& oldest_wal_file,
                                         const JobRunner::Post& post) -> ActionStatus {
    RejoinOrder order = wanted;
    order.upstream.oldest_wal_file = oldest_wal_file;
    const auto tell = [&](const std::string& line) {
      post([context, node = action.node, line] {
        if (context->progress) context->progress(node, line);
      });
    };
    const auto report = action.provision ? host->provision(order.upstream, tell) : host->make_standby(order, tell);
    if (!report) {
      ActionStatus failed = stop.stop_requested() ? broken_off(action) : outcome_of(action, report.error(), "");
      failed.copied = report.error().copied;
      return failed;
    }
    std::string message = "a standby of " + order.upstream.node + " by " + report->method;
    if (!report->quarantine.empty()) message += "; what it alone had is in " + report->quarantine;
    if (!report->moved_aside.empty()) message += "; its old data directory is " + report->moved_aside;
    ActionStatus status = outcome_of(action, {}, message);
    status.copied = report->method != "start";
    const bool compared = report->method != "basebackup" || !report->quarantine.empty();
    if (compared) status.had_more_wal = !report->quarantine.empty();
    return status;
  };
  breakable_[action.node] = {breakable, true};
  prepare_upstream(context_->conversation(), action,
                   [this, alive = std::weak_ptr<Context>(context_), action, work, was_down = suspicion.failed(),
                    stop = breakable.get_token()](const Result<std::string>& ready) {
                     const auto context = alive.lock();
                     if (!context || !context->finished || stop.stop_requested()) return;
                     breakable_[action.node].prepares_upstream = false;
                     if (!ready) return context->finished(outcome_of(action, ready.error(), ""));
                     // A checkpoint may have taken long: by now the node may be back, or even be the primary.
                     const auto node = context->monitor.health(action.node, monotonic_now());
                     const bool answers = !node.suspicion.failed() && node.last_answered && node.last_answered->facts;
                     const bool is_back = was_down && node.suspicion.liveness == Liveness::kAlive;
                     if (is_back || (answers && !node.last_answered->facts->in_recovery)) {
                       const Error changed{action.node + " is up again: it is left alone until it is looked at anew"};
                       return context->finished(outcome_of(action, changed, ""));
                     }
                     run_job(action, [work, oldest_wal_file = *ready](const JobRunner::Post& post) {
                       return work(oldest_wal_file, post);
                     });
                   });
}

void ClusterExecutor::start_server(const Action& action, const Host& host) {
  const std::stop_source breakable;
  breakable_[action.node] = {breakable, false};
  run_job(action,
          [action, host = host->breakable(breakable.get_token()),
           stop = breakable.get_token()](const JobRunner::Post&) -> ActionStatus {
            const auto started = action.ordered ? start_again(*host) : host->start_after_crash(kStartLimit);
            if (started) return outcome_of(action, {}, *started);
            return stop.stop_requested() ? broken_off(action) : outcome_of(action, started.error(), "");
          });
}

// What it found is worth something only where nothing of the server is left.
void ClusterExecutor::stop_server(const Action& action, const Host& host) {
  run_job(action, [action, host](const JobRunner::Post&) -> ActionStatus {
    if (const auto stopped = host->stop(StopMode::kFast, kStopLimit); !stopped)
      return outcome_of(action, stopped.error(), "");
    const auto found = host->examine();
    // Of a standby, whose WAL may end anywhere, it is of no interest; whoever needs it sees that it is missing.
    if (!found) return outcome_of(action, {}, "shut down; it could not be examined: " + found.error().message);
    ActionStatus status =
        outcome_of(action, {},
                   std::string(found->shut_down_cleanly ? "shut down" : "it had crashed") + ", its WAL ends at " +
                       format_lsn(found->end_of_wal) + " of timeline " + std::to_string(found->timeline));
    status.examination = *found;
    return status;
  });
}

void ClusterExecutor::examine(const Action& action, const Host& host) {
  run_job(action, [action, host](const JobRunner::Post&) -> ActionStatus {
    const auto found = host->examine();
    if (!found) return outcome_of(action, found.error(), "");
    ActionStatus status =
        outcome_of(action, {},
                   found->proven_stopped ? "stopped; its WAL ends at " + format_lsn(found->end_of_wal) +
                                               " of timeline " + std::to_string(found->timeline)
                                         : "it runs");
    status.examination = *found;
    return status;
  });
}

}  // namespace pgkeel
