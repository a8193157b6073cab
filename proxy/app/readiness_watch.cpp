#include "proxy/app/readiness_watch.h"

#include <algorithm>
#include <utility>

#include "proxy/io/clock.h"
#include "replication/readiness/collect.h"
#include "replication/readiness/rules.h"

namespace pgkeel {
namespace {

using namespace std::chrono_literals;

constexpr Duration kSettleTime = 3s;  // after start and after a change: standbys are being pointed at the primary
constexpr Duration kPauseWhenReady = 5min;
constexpr Duration kPauseWhenNotReady = 1min;
constexpr Duration kPauseBetweenSizes = 6h;  // of databases: a server looks at every file for that

bool contains(const std::vector<Finding>& findings, const Finding& wanted) {
  return std::ranges::any_of(findings, [&](const Finding& finding) { return finding.same_as(wanted); });
}

}  // namespace

ReadinessWatch::ReadinessWatch(Loop& loop, ClusterConfig cluster, Tell tell)
    : cluster_(std::move(cluster)), tell_(std::move(tell)), jobs_(loop), next_look_(loop, [this] { look(); }) {}

void ReadinessWatch::start() {
  next_look_.start_once(kSettleTime);
}

void ReadinessWatch::reconfigure(const ClusterConfig& cluster) {
  cluster_ = cluster;
  if (looks()) {
    changed_meanwhile_ = true;
  } else {
    next_look_.start_once(Duration::zero());
  }
}

void ReadinessWatch::cluster_is(const std::string& primary, const std::vector<NodeView>& nodes) {
  std::vector<std::string> answering;
  for (const auto& node : nodes) {
    if (node.answering()) answering.push_back(node.name);
  }
  if (primary == primary_ && answering == answering_) return;
  primary_ = primary;
  answering_ = std::move(answering);
  if (primary.empty()) return;
  if (looks()) {
    changed_meanwhile_ = true;
  } else {
    next_look_.start_once(kSettleTime);
  }
}

void ReadinessWatch::look() {
  const Instant now = monotonic_now();
  const bool sizes_are_due = sizes_asked_at_ == Instant{} || now - sizes_asked_at_ >= kPauseBetweenSizes;
  if (sizes_are_due) sizes_asked_at_ = now;
  const auto scope = sizes_are_due ? CollectScope::kComplete : CollectScope::kRoutine;
  const auto started = jobs_.run([this, cluster = cluster_, scope](const JobRunner::Post&) -> JobRunner::Task {
    auto facts = collect_readiness_facts(cluster, scope);
    return [this, facts = std::move(facts)] { take_over(facts); };
  });
  if (!started) next_look_.start_once(kPauseWhenNotReady);
}

void ReadinessWatch::take_over(std::vector<NodeReadinessFacts> facts) {
  for (auto& node : facts) {
    if (!node.server) continue;
    auto& bytes = node.server->database_bytes;
    const auto known = database_bytes_.find(node.node);
    if (bytes) {
      database_bytes_[node.node] = *bytes;
    } else if (known != database_bytes_.end()) {
      bytes = known->second;
    }
  }
  Readiness readiness = judge_readiness(cluster_, facts);
  const std::vector<Finding> before = report_ ? report_->readiness.findings : std::vector<Finding>();
  for (const auto& finding : readiness.findings) {
    if (!contains(before, finding)) tell_(finding, true);
  }
  for (const auto& finding : before) {
    if (!contains(readiness.findings, finding)) tell_(finding, false);
  }
  const bool ready = readiness.failover_would_work && readiness.rejoin_would_work;
  report_ = ReadinessReport{std::move(readiness), wall_now()};
  const bool soon = std::exchange(changed_meanwhile_, false);
  next_look_.start_once(soon ? kSettleTime : ready ? kPauseWhenReady : kPauseWhenNotReady);
}

}  // namespace pgkeel
