#include "replication/execute/cluster_executor.h"

#include <algorithm>
#include <exception>
#include <utility>

#include "health/monitor.h"
#include "proxy/io/clock.h"
#include "proxy/io/loop.h"
#include "replication/execute/slot_actions.h"
#include "replication/execute/sql_actions.h"
#include "replication/execute/sync_actions.h"

namespace pgkeel {
namespace {

using namespace std::chrono_literals;

constexpr Duration kFenceLimit = 5s;
constexpr Duration kStartLimit =
    10s;  // crash recovery may take longer: the server goes on, and can be fenced meanwhile

ActionStatus outcome_of(const Action& action, const Result<void>& result, std::string message) {
  ActionStatus status;
  status.action = action;
  status.succeeded = result.has_value();
  status.message = result ? std::move(message) : result.error().message;
  return status;
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
  Loop& loop;
  ClusterConfig cluster;
  Monitor& monitor;
  std::function<void(const ActionStatus&)> finished;
  std::function<void(const std::string&, const std::string&)> progress;
  std::shared_ptr<const bool> wanted = std::make_shared<const bool>(true);

  [[nodiscard]] SqlConversation conversation() {
    return {loop, monitor, cluster, [] { return monotonic_now(); }, wanted};
  }
};

ClusterExecutor::ClusterExecutor(Loop& loop, const ClusterConfig& cluster, Monitor& monitor,
                                 std::function<void(const ActionStatus&)> finished,
                                 std::function<void(const std::string&, const std::string&)> progress)
    : jobs_(loop),
      context_(std::make_shared<Context>(Context{loop, cluster, monitor, std::move(finished), std::move(progress)})) {
  for (const auto& node : cluster.nodes) {
    if (node.local) local_servers_.emplace(node.name, LocalServer(node.name, node.address, *node.local));
  }
}

ClusterExecutor::~ClusterExecutor() {
  context_->finished = nullptr;
  context_->progress = nullptr;
  context_->wanted.reset();
}

void ClusterExecutor::start(const Action& action) {
  const auto local = local_servers_.find(action.node);
  const std::string doubt = local_doubt(action.node);
  const bool is_local = local != local_servers_.end() && doubt.empty();
  const auto done = [context = context_](const ActionStatus& status) {
    context->loop.defer([context, status] {
      if (context->finished) context->finished(status);
    });
  };
  switch (action.kind) {
    case ActionKind::kProbe:
      context_->monitor.probe_now(action.node);
      return done(outcome_of(action, {}, ""));
    case ActionKind::kFence:
      return is_local ? fence_local(action, local->second) : fence_by_sql(context_->conversation(), action, done);
    case ActionKind::kPromote:
      return promote(context_->conversation(), action, done);
    case ActionKind::kFollow:
      return follow(context_->conversation(), action, done);
    case ActionKind::kDropSlot:
      return drop_slot(context_->monitor, action, done);
    case ActionKind::kKeepSlot:
      return keep_slot(context_->monitor, action, done);
    case ActionKind::kSetStandbyNames:
      return set_standby_names(context_->conversation(), action, done);
    case ActionKind::kCutOff:
      return cut_off(context_->conversation(), action, done);
    case ActionKind::kRejoin:
    case ActionKind::kStartServer:
    case ActionKind::kExamine:
      break;
  }
  if (!is_local) {
    return done(outcome_of(action, Error{doubt.empty() ? action.node + " is not on this host" : doubt}, ""));
  }
  if (action.kind == ActionKind::kRejoin) return rejoin(action, local->second);
  if (action.kind == ActionKind::kStartServer) return start_server(action, local->second);
  examine(action, local->second);
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
  const auto local = local_servers_.find(node);
  if (local == local_servers_.end()) return {};
  auto doubt = context_->monitor.health(node, monotonic_now()).local_doubt;
  if (!doubt.empty()) return doubt;
  const auto claimed = local->second.claim();
  return claimed ? std::string() : claimed.error().message;
}

void ClusterExecutor::run_job(const Action& action, Work work) {
  const auto started =
      jobs_.run([context = context_, action, work = std::move(work)](const JobRunner::Post& post) -> JobRunner::Task {
        return [context, status = work_or_error(action, work, post)] {
          if (context->finished) context->finished(status);
        };
      });
  if (started) return;
  context_->loop.defer([context = context_, status = outcome_of(action, started, "")] {
    if (context->finished) context->finished(status);
  });
}

void ClusterExecutor::fence_local(const Action& action, const LocalServer& server) {
  run_job(action, [action, server](const JobRunner::Post&) {
    ActionStatus status = outcome_of(action, server.fence(kFenceLimit), "proven stopped: no process of it is left");
    status.fence = status.succeeded ? FenceStrength::kProvenStopped : FenceStrength::kNone;
    return status;
  });
}

void ClusterExecutor::rejoin(const Action& action, const LocalServer& server) {
  const auto health = context_->monitor.health(action.upstream, monotonic_now());
  const auto upstream_config = std::ranges::find(context_->cluster.nodes, action.upstream, &NodeConfig::name);
  if (!health.last_answered || !health.last_answered->facts || upstream_config == context_->cluster.nodes.end()) {
    context_->loop.defer([context = context_, action] {
      if (context->finished)
        context->finished(outcome_of(action, Error{action.upstream + " has not been heard from"}, ""));
    });
    return;
  }
  UpstreamServer source;
  source.node = action.upstream;
  source.address = upstream_config->address;
  source.replication = context_->cluster.replication;
  source.timeline = health.last_answered->facts->timeline;
  source.timeline_history = health.last_answered->facts->timeline_history;

  const auto liveness = context_->monitor.health(action.node, monotonic_now()).suspicion.liveness;
  const std::stop_source breakable;
  const auto work = [action, server = server.until(breakable.get_token()), wanted = breakable.get_token(), source,
                     was_dead = liveness == Liveness::kDead, context = context_](
                        const std::string& oldest_wal_file, const JobRunner::Post& post) -> ActionStatus {
    UpstreamServer upstream = source;
    upstream.oldest_wal_file = oldest_wal_file;
    if (!action.old_primary && !action.ordered && server.look().proven_stopped()) {
      const auto control = server.control_data();
      if (control && control->cluster_state == "shut down in recovery") {
        return outcome_of(action, Error{"it was shut down cleanly, so it is left alone; start it to have it back"}, "");
      }
    }
    const auto state = server.look();
    if (!action.old_primary && was_dead && state.postmaster_pid)
      return outcome_of(action, Error{"somebody is starting it: it is left alone until it is looked at anew"}, "");
    const bool to_be_filled = !state.data_directory_exists && state.nothing_runs();
    if (const auto fenced = to_be_filled ? Result<void>() : server.fence(kFenceLimit); !fenced) {
      return outcome_of(action, fenced, "");
    }
    const auto tell = [&](const std::string& line) {
      post([context, node = action.node, line] {
        if (context->progress) context->progress(node, line);
      });
    };
    const auto report =
        server.rejoin(upstream, tell, {.rebuild = action.rebuild, .discard_old_data = action.discard_old_data});
    if (!report) return wanted.stop_requested() ? broken_off(action) : outcome_of(action, report.error(), "");
    std::string message = "a standby of " + upstream.node + " by " + report->method;
    if (!report->quarantine.empty()) message += "; what it alone had is in " + report->quarantine;
    if (!report->moved_aside.empty()) message += "; its old data directory is " + report->moved_aside;
    return outcome_of(action, {}, message);
  };
  const bool was_down = context_->monitor.health(action.node, monotonic_now()).suspicion.failed();
  breakable_[action.node] = {breakable, true};
  prepare_upstream(context_->conversation(), action,
                   [this, alive = std::weak_ptr<Context>(context_), action, work, was_down,
                    wanted = breakable.get_token()](const Result<std::string>& ready) {
                     const auto context = alive.lock();
                     if (!context || !context->finished || wanted.stop_requested()) return;
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

void ClusterExecutor::start_server(const Action& action, const LocalServer& server) {
  const std::stop_source breakable;
  breakable_[action.node] = {breakable, false};
  run_job(action,
          [action, server = server.until(breakable.get_token()),
           wanted = breakable.get_token()](const JobRunner::Post&) -> ActionStatus {
            const auto control = server.control_data();
            if (!control) return outcome_of(action, control.error(), "");
            if (control->shut_down_cleanly() && server.look().proven_stopped()) {
              return outcome_of(action,
                                Error{"it was shut down cleanly, so it is left alone; start it to have it back"}, "");
            }
            const auto started = server.start(kStartLimit);
            if (!started && wanted.stop_requested()) return broken_off(action);
            if (!started && server.look().postmaster_pid) return outcome_of(action, {}, started.error().message);
            return outcome_of(action, started, "started after a crash");
          });
}

void ClusterExecutor::examine(const Action& action, const LocalServer& server) {
  run_job(action, [action, server](const JobRunner::Post&) -> ActionStatus {
    Examination found;
    found.proven_stopped = server.look().proven_stopped();
    if (!found.proven_stopped) {
      ActionStatus status = outcome_of(action, {}, "it runs");
      status.examination = found;
      return status;
    }
    const auto control = server.control_data();
    if (!control) return outcome_of(action, control.error(), "");
    const auto end = server.end_of_wal();
    if (!end) return outcome_of(action, end.error(), "");
    found.shut_down_cleanly = control->shut_down_cleanly();
    found.timeline = end->timeline;
    found.end_of_wal = end->lsn;
    ActionStatus status = outcome_of(
        action, {},
        "stopped; its WAL ends at " + format_lsn(end->lsn) + " of timeline " + std::to_string(end->timeline));
    status.examination = found;
    return status;
  });
}

}  // namespace pgkeel
