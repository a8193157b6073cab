#include "health/monitor.h"

#include <algorithm>
#include <list>
#include <random>
#include <utility>

#include "config/find.h"
#include "health/postmaster_watch.h"
#include "health/probe.h"
#include "health/probe_schedule.h"
#include "health/server_access.h"
#include "health/sql_runner.h"
#include "health/stall_guard.h"
#include "proxy/base/log.h"
#include "proxy/io/clock.h"
#include "proxy/io/loop.h"
#include "proxy/io/timer.h"

namespace pgkeel {

using namespace std::chrono_literals;

namespace {

constexpr Duration kStallTick = 100ms;
constexpr Duration kKeptStatementTimeout = 10s;  // told in monitor.h

// Short enough that a stall can't make up a good part of failure_timeout, long enough not to see one in a busy machine.
Duration stall_threshold(const DetectionConfig& settings) {
  return std::clamp<Duration>(settings.failure_timeout / 3, 2 * kStallTick, 1s);
}

// libuv's timers may come a millisecond early; then a refusal is not confirmed yet, or a suspicion not changed.
Duration not_early(Duration delay) {
  return delay > Duration::zero() ? delay + 1ms : delay;
}

}  // namespace

struct Monitor::Inner {
  struct Node {
    Node(Inner& inner, const NodeConfig& config)
        : name(config.name),
          access(std::make_shared<ServerAccess>(inner.loop, config.address, inner.cluster.monitor,
                                                inner.cluster.server_tls)),
          detector(inner.cluster.detection, monotonic_now()),
          probe(
              inner.loop, name, *access, inner.cluster.detection.probe_timeout, [this, &inner] { inner.hurry(*this); },
              [&inner] { inner.look_for_stall(); }),
          runner(inner.loop, *access, inner.statement_sessions, kKeptStatementTimeout,
                 [this, &inner] { inner.hurry(*this); }),
          client_runner(inner.loop, *access, inner.probe_sessions, kKeptStatementTimeout,
                        [this, &inner] { inner.hurry(*this); }),
          next_probe(inner.loop, [this, &inner] { inner.begin_probe(*this); }) {
      probe.set_session_name(inner.probe_sessions);
      if (config.agent) agent.emplace(config.address.port);
      if (!config.local) return;
      postmaster.emplace(inner.loop, config.local->data_directory, config.address.port,
                         [this, &inner](std::string detail) { inner.postmaster_died(*this, std::move(detail)); });
    }

    // The same server, reached in another way.
    void take_over(Node& old) {
      detector = old.detector;
      last_started_at = old.last_started_at;
      last = std::move(old.last);
      last_answered = std::move(old.last_answered);
      probes = old.probes;
      failed_probes = old.failed_probes;
    }

    std::string name;
    std::shared_ptr<ServerAccess> access;
    FailureDetector detector;
    Probe probe;
    SqlRunner runner;
    SqlRunner client_runner;
    std::optional<PostmasterWatch> postmaster;  // of a local node
    std::optional<AgentEvidence> agent;         // of a node with an agent
    Timer next_probe;
    bool asked_for_now = false;
    Instant last_started_at;
    std::optional<Observation> last;
    std::optional<Observation> last_answered;
    std::uint64_t probes = 0;
    std::uint64_t failed_probes = 0;
  };

  Inner(Loop& event_loop, const ClusterConfig& config, std::function<void()> changed,
        std::function<Instant(const std::string&)> link_bytes)
      : loop(event_loop),
        cluster(config),
        on_change(std::move(changed)),
        last_link_bytes(std::move(link_bytes)),
        stall_guard(stall_threshold(config.detection), monotonic_now()),
        stall_tick(loop, [this] { look_for_stall(); }),
        change_by_time(loop, [this] { tell_change(); }),
        random(static_cast<std::minstd_rand::result_type>(std::hash<std::string>{}(config.name))) {
    for (const auto& node : cluster.nodes) nodes.push_back(std::make_unique<Node>(*this, node));
  }

  void start(Node& node) {
    if (node.postmaster) node.postmaster->arm(false);
    begin_probe(node);
  }

  void reconfigure(const ClusterConfig& wanted) {
    const ClusterConfig before = std::exchange(cluster, wanted);
    const bool same_ways = before.monitor == wanted.monitor && before.server_tls == wanted.server_tls;
    stall_guard.set_threshold(stall_threshold(wanted.detection));
    std::vector<std::unique_ptr<Node>> old = std::exchange(nodes, {});
    std::vector<Node*> fresh;
    for (const auto& config : wanted.nodes) {
      const auto twin = std::ranges::find_if(old, [&](const auto& node) { return node && node->name == config.name; });
      const NodeConfig* was = find_node_config(before, config.name);
      const bool known = twin != old.end() && was != nullptr;
      if (known && same_ways && was->address == config.address && was->local == config.local &&
          was->agent.has_value() == config.agent.has_value()) {
        nodes.push_back(std::move(*twin));
      } else {
        nodes.push_back(std::make_unique<Node>(*this, config));
        if (known && was->address == config.address) nodes.back()->take_over(**twin);
        fresh.push_back(nodes.back().get());
      }
      nodes.back()->detector.set_settings(wanted.detection);
      nodes.back()->probe.set_time_limit(wanted.detection.probe_timeout);
    }
    for (const auto& node : old) {
      if (!node) continue;
      for (SqlRunner* runner : {&node->runner, &node->client_runner}) {
        for (auto& done : runner->give_up()) refuse(std::move(done), node->name);
      }
    }
    if (!started) return;
    for (Node* node : fresh) start(*node);
  }

  void refuse(SqlRunner::Done done, const std::string& node) const {
    loop.defer([done = std::move(done), node] {
      done(SqlError{"", node + " is reached in another way now, or not configured any more"});
    });
  }

  Node* find(const std::string& name) const {
    const auto found = std::ranges::find_if(nodes, [&](const auto& node) { return node->name == name; });
    return found == nodes.end() ? nullptr : found->get();
  }

  void begin_probe(Node& node) {
    node.next_probe.stop();
    if (node.probe.running()) return;
    node.asked_for_now = false;
    node.last_started_at = monotonic_now();
    node.probe.begin([this, &node](Observation observation) { probe_ended(node, std::move(observation)); });
  }

  void probe_ended(Node& node, Observation observation) {
    const bool answered = observation.outcome == ProbeOutcome::kAnswered;
    const bool alive = answered || observation.outcome == ProbeOutcome::kAliveOnly;
    look_for_stall();
    hear_links(node);  // before the observation: a probe that began after these bytes counts
    node.detector.observed(observation);
    node.probes += 1;
    if (!answered) node.failed_probes += 1;
    node.last = std::move(observation);
    if (answered) {
      node.last_answered = node.last;
      node.runner.warm_up(cluster.detection.probe_timeout);
      // By it a new primary is opened, and one that is full of clients takes no further connection.
      if (cluster.durability == Durability::kStrict) node.client_runner.warm_up(cluster.detection.probe_timeout);
    }
    if (node.agent) node.agent->answered(*node.last);
    if (node.postmaster) {
      std::optional<WallTime> started_at;
      if (answered) started_at = wall_now() - node.last->facts->uptime;
      node.postmaster->arm(alive, started_at);
    }
    schedule(node, node.last->finished_at);
    tell_change();
  }

  void schedule(Node& node, Instant now) {
    const ProbeTimes times{.last_started_at = node.last_started_at,
                           .last_finished_at = now,
                           .confirm_at = node.detector.confirm_probe_at(),
                           .asked_for_now = node.asked_for_now};
    const double spread = std::uniform_real_distribution<double>(-1, 1)(random);
    node.next_probe.start_once(not_early(next_probe_at(times, cluster.detection.interval, spread) - now));
  }

  // Somebody saw a link to the node break.
  void hurry(Node& node) {
    if (!started || node.asked_for_now) return;
    node.asked_for_now = true;
    if (!node.probe.running()) schedule(node, monotonic_now());
  }

  void postmaster_died(Node& node, std::string detail) {
    node.detector.postmaster_died(monotonic_now(), std::move(detail));
    node.probe.connect_anew();
    tell_change();
    hurry(node);
  }

  void agent_said(Node& node, const AgentWord& word) {
    if (!node.agent) return;
    auto death = node.agent->reported(word);
    if (!death) return;
    // The word may have been long on its way: an answer to a probe that began after the death is newer.
    if (node.last_answered && node.last_answered->started_at > death->when) return hurry(node);
    node.detector.postmaster_died(death->when, std::move(death->detail));
    tell_change();
    hurry(node);
  }

  void look_for_stall() {
    const Instant now = monotonic_now();
    const auto gap = stall_guard.tick(now);
    if (!gap) return;
    log(LogLevel::kWarning, "monitor",
        cluster.name + ": this process was asleep for " + format_duration(*gap) +
            "; what it did not hear is no evidence");
    for (const auto& node : nodes) {
      node->detector.stalled(now);
      node->probe.extend();
    }
  }

  void hear_links(Node& node) const { node.detector.heard_from(last_link_bytes(node.name)); }

  // Runs the decision core, and sees to it that it runs again when a suspicion changes by time alone.
  void tell_change() {
    look_for_stall();
    const Instant now = monotonic_now();
    Instant next = Instant::max();
    for (const auto& node : nodes) {
      hear_links(*node);
      next = std::min(next, node->detector.next_change(now));
    }
    if (next == Instant::max()) {
      change_by_time.stop();
    } else {
      change_by_time.start_once(not_early(next - now));
    }
    on_change();
  }

  Loop& loop;
  ClusterConfig cluster;
  const std::function<void()> on_change;
  const std::function<Instant(const std::string&)> last_link_bytes;
  std::string probe_sessions = "pgkeel";  // application_names
  std::string statement_sessions = "pgkeel";
  StallGuard stall_guard;
  Timer stall_tick;
  Timer change_by_time;
  std::minstd_rand random;
  std::vector<std::unique_ptr<Node>> nodes;
  struct Apart {
    Apart(Loop& loop, std::shared_ptr<ServerAccess> way, const std::string& session_name, Duration limit)
        : access(std::move(way)), runner(loop, *access, session_name, limit, [] {}) {}

    std::shared_ptr<ServerAccess> access;  // the node may be gone before it has ended
    SqlRunner runner;
  };
  std::list<Apart> apart;
  bool started = false;
};

Monitor::Monitor(Loop& loop, const ClusterConfig& cluster, std::function<void()> on_change,
                 std::function<Instant(const std::string& node)> last_link_bytes)
    : inner_(std::make_unique<Inner>(loop, cluster, std::move(on_change), std::move(last_link_bytes))) {}

Monitor::~Monitor() = default;

void Monitor::start() {
  inner_->started = true;
  inner_->look_for_stall();
  inner_->stall_tick.start_repeating(kStallTick);
  for (const auto& node : inner_->nodes) inner_->start(*node);
}

void Monitor::reconfigure(const ClusterConfig& cluster) {
  inner_->reconfigure(cluster);
}

void Monitor::probe_now(const std::string& node) {
  if (auto* found = inner_->find(node)) inner_->hurry(*found);
}

Monitor::NodeHealth Monitor::health(const std::string& node, Instant now) const {
  NodeHealth health;
  health.node = node;
  auto* found = inner_->find(node);
  if (found == nullptr) return health;
  inner_->look_for_stall();
  inner_->hear_links(*found);
  health.suspicion = found->detector.suspicion(now);
  health.last = found->last;
  health.last_answered = found->last_answered;
  health.probes = found->probes;
  health.failed_probes = found->failed_probes;
  if (found->postmaster) health.local_doubt = found->postmaster->doubt();
  if (found->agent) health.local_doubt = found->agent->doubt();
  if (found->last) health.last_probe_duration = found->last->finished_at - found->last->started_at;
  return health;
}

void Monitor::agent_said(const std::string& node, const AgentWord& word) {
  if (auto* found = inner_->find(node)) inner_->agent_said(*found, word);
}

void Monitor::name_sessions(const std::string& probes, const std::string& statements) {
  inner_->probe_sessions = probes;
  inner_->statement_sessions = statements;
  for (const auto& node : inner_->nodes) {
    node->probe.set_session_name(probes);
    node->client_runner.set_session_name(probes);
    node->runner.set_session_name(statements);
  }
}

void Monitor::run_sql(const std::string& node, std::string sql, Duration limit,
                      std::function<void(Result<SqlRows, SqlError>)> done, MaySend may_send) {
  auto* found = inner_->find(node);
  if (found == nullptr) return inner_->refuse(std::move(done), node);
  found->runner.run(std::move(sql), limit, std::move(done), std::move(may_send));
}

void Monitor::give_up_sql(const std::string& node) {
  auto* found = inner_->find(node);
  if (found == nullptr) return;
  for (auto& done : found->runner.give_up()) {
    inner_->loop.defer([done = std::move(done), node] { done(SqlError{"", node + ": given up for a newer order"}); });
  }
}

void Monitor::run_sql_for_clients(const std::string& node, std::string sql, Duration limit,
                                  std::function<void(Result<SqlRows, SqlError>)> done) {
  auto* found = inner_->find(node);
  if (found == nullptr) return inner_->refuse(std::move(done), node);
  found->client_runner.run(std::move(sql), limit, std::move(done));
}

void Monitor::run_sql_apart(const std::string& node, std::string sql, Duration limit,
                            std::function<void(Result<SqlRows, SqlError>)> done, MaySend may_send, Session session) {
  auto* found = inner_->find(node);
  if (found == nullptr) return inner_->refuse(std::move(done), node);
  auto& apart = inner_->apart;
  const std::string& name = session == Session::kOfProbes ? inner_->probe_sessions : inner_->statement_sessions;
  const auto place = apart.emplace(apart.end(), inner_->loop, found->access, name, limit);
  const auto finish = [this, place, done = std::move(done)](Result<SqlRows, SqlError> answer) {
    const auto call = done;
    inner_->apart.erase(place);
    call(std::move(answer));
  };
  place->runner.run(std::move(sql), limit, finish, std::move(may_send));
}

}  // namespace pgkeel
