#include "proxy/cli/check_live.h"

#include <algorithm>
#include <iostream>

#include <fmt/format.h>
#include <nlohmann/json.hpp>

#include "proxy/admin/readiness_json.h"
#include "proxy/cli/check_coordination.h"
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

bool has_error(const std::vector<Finding>& findings) {
  return std::ranges::any_of(findings,
                             [](const Finding& finding) { return finding.severity == FindingSeverity::kError; });
}

std::string findings_text(const std::vector<Finding>& findings) {
  std::string text;
  for (const auto& finding : findings) {
    text += fmt::format("  {:7} {}{}\n          {}\n", severity_name(finding.severity),
                        finding.node.empty() ? "" : finding.node + ": ", finding.problem, finding.remedy);
  }
  return text;
}

}  // namespace

std::string readiness_text(const std::string& cluster, const Readiness& readiness) {
  return fmt::format("{}: {} ({})\n", cluster, answer_text(readiness), counts_text(readiness.findings)) +
         findings_text(readiness.findings);
}

std::string coordination_text(const CoordinationFacts& facts, const std::vector<Finding>& findings) {
  const auto answering = std::ranges::count_if(facts.etcds, [](const auto& etcd) { return etcd.error.empty(); });
  const auto peers = std::ranges::count_if(facts.peers, [](const auto& peer) { return peer.error.empty(); });
  return fmt::format("several pgkeels: {}; {} of {} etcds and {} of {} other pgkeels answer ({})\n",
                     has_error(findings) ? "not ready" : "ready", answering, facts.etcds.size(), peers,
                     facts.peers.size(), counts_text(findings)) +
         findings_text(findings);
}

int check_live(const Config& config, bool json) {
  bool any_error = false;
  nlohmann::ordered_json document;
  if (config.coordination.is_given()) {
    const auto facts = look_at_coordination(config);
    const auto findings = judge_coordination(config.coordination, facts);
    any_error = has_error(findings);
    if (json)
      document["coordination"] = {{"findings", findings_to_json(findings)}};
    else
      std::cout << coordination_text(facts, findings) << std::flush;
  }
  nlohmann::ordered_json clusters = nlohmann::ordered_json::array();
  for (const auto& cluster : config.clusters) {
    const auto readiness = judge_readiness(cluster, collect_readiness_facts(cluster, CollectScope::kComplete));
    any_error = any_error || has_error(readiness.findings);
    if (json) {
      clusters.push_back({{"name", cluster.name}, {"readiness", readiness_to_json(readiness)}});
    } else {
      std::cout << readiness_text(cluster.name, readiness) << std::flush;
    }
  }
  if (json) {
    document["clusters"] = clusters;
    std::cout << document.dump(2, ' ', false, nlohmann::ordered_json::error_handler_t::replace) << "\n";
  }
  return any_error ? kExitRefused : kExitDone;
}

}  // namespace pgkeel
