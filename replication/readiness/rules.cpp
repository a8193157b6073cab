#include "replication/readiness/rules.h"

#include <algorithm>

#include <fmt/format.h>

#include "replication/readiness/rule_set.h"

namespace pgkeel {
namespace {

bool stands_in_the_way(const Finding& finding, Prevents of) {
  return finding.severity == FindingSeverity::kError && (finding.prevents == of || finding.prevents == Prevents::kBoth);
}

// Some node that is not the primary may be promoted, and nothing stands in the way of that.
bool failover_would_work(const Judged& judged) {
  if (judged.primary == nullptr) return false;
  const auto hinders = [&](const std::string& node) {
    return std::ranges::any_of(judged.findings, [&](const Finding& finding) {
      return (finding.node == node || finding.node.empty()) && stands_in_the_way(finding, Prevents::kFailover);
    });
  };
  return std::ranges::any_of(judged.nodes, [&](const NodeReadinessFacts& node) {
    return &node != judged.primary && node.priority > 0 && !hinders(node.node);
  });
}

}  // namespace

bool is_address_of(const NodeReadinessFacts& node, const std::string& host, std::uint16_t port) {
  if (port != node.address.port) return false;
  return host == node.address.host || std::ranges::find(node.addresses, host) != node.addresses.end();
}

std::string bytes_text(std::uint64_t bytes) {
  constexpr const char* kUnits[] = {"B", "KiB", "MiB", "GiB", "TiB"};
  auto amount = static_cast<double>(bytes);
  std::size_t unit = 0;
  while (amount >= 1024 && unit + 1 < std::size(kUnits)) {
    amount /= 1024;
    ++unit;
  }
  return fmt::format("{:.{}f} {}", amount, unit == 0 ? 0 : 1, kUnits[unit]);
}

bool comma_separated_contains(std::string_view list, std::string_view name) {
  while (!list.empty()) {
    const auto comma = std::min(list.find(','), list.size());
    std::string_view item = list.substr(0, comma);
    while (!item.empty() && item.front() == ' ') item.remove_prefix(1);
    while (!item.empty() && item.back() == ' ') item.remove_suffix(1);
    if (item == name) return true;
    list.remove_prefix(std::min(comma + 1, list.size()));
  }
  return false;
}

std::string comma_list(const std::vector<std::string>& texts) {
  return fmt::format("{}", fmt::join(texts, ", "));
}

std::string alter_system(const NodeReadinessFacts& node, const std::string& name, const std::string& value,
                         bool needs_restart) {
  return fmt::format("on {}: ALTER SYSTEM SET {} = '{}'; then {}", node.node, name, value,
                     needs_restart ? "restart it" : "SELECT pg_reload_conf()");
}

Readiness judge_readiness(const ClusterConfig& cluster, const std::vector<NodeReadinessFacts>& nodes) {
  Readiness readiness;
  Judged judged{.cluster = cluster, .nodes = nodes, .primary = nullptr, .findings = readiness.findings};
  std::size_t primaries = 0;
  for (const auto& node : nodes) {
    if (!node.server || node.server->in_recovery) continue;
    judged.primary = &node;
    ++primaries;
  }
  if (primaries != 1) judged.primary = nullptr;
  judge_nodes(judged);
  judge_settings(judged);
  judge_access(judged);
  judge_retention(judged);
  judge_logical_slots(judged);
  judge_hosts(judged);

  readiness.failover_would_work = failover_would_work(judged);
  readiness.rejoin_would_work =
      judged.primary != nullptr && std::ranges::none_of(readiness.findings, [](const auto& finding) {
        return stands_in_the_way(finding, Prevents::kRejoin);
      });
  std::ranges::stable_sort(readiness.findings, [](const Finding& left, const Finding& right) {
    if (left.severity != right.severity) return left.severity > right.severity;
    return left.node < right.node;
  });
  return readiness;
}

}  // namespace pgkeel
