#include "proxy/app/read_only_access.h"

#include <algorithm>
#include <utility>

#include "replication/decide/situation.h"

namespace pgkeel {

namespace {

ReadOnlyPolicy policy_of_reads(const ClusterConfig& config) {
  return {.max_read_lag = config.max_read_lag, .failure_timeout = config.detection.failure_timeout};
}

}  // namespace

ReadOnlyAccess::ReadOnlyAccess(const ClusterConfig& config, Publish publish, Tell tell)
    : publish_(std::move(publish)),
      tell_(std::move(tell)),
      failure_timeout_(config.detection.failure_timeout),
      endpoint_(policy_of_reads(config)) {}

void ReadOnlyAccess::reconfigure(const ClusterConfig& config) {
  failure_timeout_ = config.detection.failure_timeout;
  endpoint_.reconfigure(policy_of_reads(config));
}

void ReadOnlyAccess::follow(const RouteOrder& order, const std::vector<NodeView>& nodes,
                            const std::set<std::string>& maintained, Instant now, std::function<void()> applied,
                            std::function<void()> drained) {
  order_ = order;
  follows_ = true;
  inherited_.clear();
  decide(nodes, maintained, now);
  published_ = route(nodes);
  publish_(published_, std::move(applied), std::move(drained));
}

void ReadOnlyAccess::resume(const RouteOrder& order, Route open, Instant now) {
  order_ = order;
  follows_ = true;
  inherited_ = open.readers;
  inherited_until_ = now + failure_timeout_;
  for (const ReadTarget& target : open.readers) {
    const auto readability = target.takes_new ? Readability::kEligible : Readability::kBehind;
    readers_.push_back({.node = target.server.node, .readability = readability, .is_primary = target.is_primary});
  }
  published_ = std::move(open);
}

void ReadOnlyAccess::forget_inherited(const std::vector<NodeView>& nodes, Instant now) {
  std::erase_if(inherited_, [&](const ReadTarget& target) {
    const auto node = std::ranges::find(nodes, target.server.node, &NodeView::name);
    const auto reader = std::ranges::find(readers_, target.server.node, &Reader::node);
    if (node == nodes.end() || reader == readers_.end() || node->address != target.server.address) return true;
    const bool is_judged = node->facts && (reader->lag || reader->readability == Readability::kExcluded);
    return is_judged || node->suspicion.failed() || now >= inherited_until_;
  });
}

void ReadOnlyAccess::review(const std::vector<NodeView>& nodes, const std::set<std::string>& maintained, Instant now) {
  // While sessions are waited for nobody is sent elsewhere: soon all of them end, or all go on.
  if (!follows_ || order_.mode == RouteMode::kDraining) return;
  const std::vector<Reader> before = readers_;
  decide(nodes, maintained, now);
  forget_inherited(nodes, now);
  tell_of_changes(before);
  Route next = route(nodes);
  // The reasons change with each look at the lag; what they are reasons for does not.
  if (next.readers == published_.readers) return;
  published_ = next;
  publish_(
      std::move(next), [] {}, [] {});
}

void ReadOnlyAccess::decide(const std::vector<NodeView>& nodes, const std::set<std::string>& maintained, Instant now) {
  readers_ = endpoint_.decide(nodes, {.primary = order_.node, .epoch = order_.epoch, .maintained = maintained}, now);
}

bool ReadOnlyAccess::takes_new(const Reader& reader) const {
  if (reader.readability != Readability::kEligible || order_.node.empty()) return false;
  return !reader.is_primary || std::ranges::none_of(readers_, [](const Reader& other) {
    return !other.is_primary && other.readability == Readability::kEligible;
  });
}

Route ReadOnlyAccess::route(const std::vector<NodeView>& nodes) const {
  Route route{.epoch = order_.epoch, .target = std::nullopt, .mode = order_.mode, .reason = order_.reason};
  // Planned work on the whole cluster: no session may stay where a node is about to be stopped or promoted.
  const bool closed = order_.node.empty() && order_.mode != RouteMode::kNormal;
  for (const Reader& reader : readers_) {
    route.why_not[reader.node] = reader.why_not;
    const auto inherited =
        std::ranges::find_if(inherited_, [&](const ReadTarget& target) { return target.server.node == reader.node; });
    if (!closed && inherited != inherited_.end()) {
      route.readers.push_back(*inherited);
      continue;
    }
    if (closed || reader.readability == Readability::kExcluded) continue;
    const auto node = std::ranges::find(nodes, reader.node, &NodeView::name);
    if (node == nodes.end()) continue;
    // The primary stands by for when no standby takes a connection.
    const bool takes_new = reader.readability == Readability::kEligible && !order_.node.empty();
    route.readers.push_back({{node->name, node->address}, reader.is_primary, takes_new});
  }
  return route;
}

ReadOnlyStatus read_only_status(const ReadOnlyAccess& access, const ReadOnlySessionStats& sessions) {
  ReadOnlyStatus status;
  status.sessions = sessions.sessions;
  for (const Reader& reader : access.readers()) {
    const auto count = sessions.by_node.find(reader.node);
    status.nodes.push_back({.node = reader.node,
                            .standing = readability_name(reader.readability),
                            .is_primary = reader.is_primary,
                            .takes_new = access.takes_new(reader),
                            .why_not = reader.why_not,
                            .lag = reader.lag,
                            .lag_bytes = reader.lag_bytes,
                            .sessions = count == sessions.by_node.end() ? 0 : count->second});
  }
  return status;
}

void ReadOnlyAccess::tell_of_changes(const std::vector<Reader>& before) {
  if (order_.node.empty() || !inherited_.empty()) return;  // that is told otherwise, or was
  for (const Reader& reader : readers_) {
    const auto earlier = std::ranges::find(before, reader.node, &Reader::node);
    if (earlier == before.end() || earlier->readability != Readability::kBehind) continue;
    if (reader.readability == Readability::kExcluded)
      tell_(LogLevel::kWarning, "sessions of the read-only endpoint at " + reader.node + " end: " + reader.why_not);
  }
  std::vector<std::string> takers;
  std::string why_not;
  for (const Reader& reader : readers_) {
    if (takes_new(reader)) takers.push_back(reader.node);
    if (reader.is_primary || reader.why_not.empty()) continue;
    why_not += (why_not.empty() ? ": " : "; ") + reader.why_not;
  }
  std::string where = join_names(takers);
  if (where == told_) return;
  told_ = where;
  tell_(why_not.empty() ? LogLevel::kInfo : LogLevel::kWarning, "the read-only endpoint leads to " + where + why_not);
}

}  // namespace pgkeel
