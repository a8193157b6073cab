#include "proxy/cli/check_live.h"

#include <algorithm>
#include <iostream>

#include <fmt/format.h>
#include <nlohmann/json.hpp>

#include "proxy/admin/readiness_json.h"
#include "proxy/cli/exit_status.h"
#include "replication/readiness/collect.h"
#include "replication/readiness/rules.h"

namespace pgkeel {
namespace {

std::string answer_text(const Readiness& readiness) {
  if (readiness.failover_would_work && readiness.rejoin_would_work)
    return "ready: a failover and a rejoin would work now";
  if (readiness.failover_would_work) return "not ready: a failover would work now, a rejoin would not";
  if (readiness.rejoin_would_work) return "not ready: a failover would not work now";
  return "not ready: neither a failover nor a rejoin would work now";
}

std::string counts_text(const std::vector<Finding>& findings) {
  std::string text;
  for (const auto severity : {FindingSeverity::kError, FindingSeverity::kWarning, FindingSeverity::kNotice}) {
    const auto count = std::ranges::count(findings, severity, &Finding::severity);
    if (count > 0)
      text += fmt::format("{}{} {}{}", text.empty() ? "" : ", ", count, severity_name(severity), count == 1 ? "" : "s");
  }
  return text.empty() ? "nothing found" : text;
}

bool has_error(const Readiness& readiness) {
  return std::ranges::any_of(readiness.findings,
                             [](const Finding& finding) { return finding.severity == FindingSeverity::kError; });
}

}  // namespace

std::string readiness_text(const std::string& cluster, const Readiness& readiness) {
  std::string text = fmt::format("{}: {} ({})\n", cluster, answer_text(readiness), counts_text(readiness.findings));
  for (const auto& finding : readiness.findings) {
    text += fmt::format("  {:7} {}{}\n          {}\n", severity_name(finding.severity),
                        finding.node.empty() ? "" : finding.node + ": ", finding.problem, finding.remedy);
  }
  return text;
}

int check_live(const Config& config, bool json) {
  bool any_error = false;
  nlohmann::ordered_json clusters = nlohmann::ordered_json::array();
  for (const auto& cluster : config.clusters) {
    const auto readiness = judge_readiness(cluster, collect_readiness_facts(cluster, CollectScope::kComplete));
    any_error = any_error || has_error(readiness);
    if (json) {
      clusters.push_back({{"name", cluster.name}, {"readiness", readiness_to_json(readiness)}});
    } else {
      std::cout << readiness_text(cluster.name, readiness) << std::flush;
    }
  }
  if (json) {
    const nlohmann::ordered_json document = {{"clusters", clusters}};
    std::cout << document.dump(2, ' ', false, nlohmann::ordered_json::error_handler_t::replace) << "\n";
  }
  return any_error ? kExitRefused : kExitDone;
}

}  // namespace pgkeel
