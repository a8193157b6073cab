#include "proxy/admin/readiness_json.h"

#include <nlohmann/json.hpp>

namespace pgkeel {

nlohmann::ordered_json findings_to_json(const std::vector<Finding>& list) {
  using Json = nlohmann::ordered_json;
  Json findings = Json::array();
  for (const auto& finding : list) {
    const bool prevents_failover = finding.prevents == Prevents::kFailover || finding.prevents == Prevents::kBoth;
    const bool prevents_rejoin = finding.prevents == Prevents::kRejoin || finding.prevents == Prevents::kBoth;
    findings.push_back({{"severity", severity_name(finding.severity)},
                        {"rule", finding.rule},
                        {"node", finding.node.empty() ? Json(nullptr) : Json(finding.node)},
                        {"subject", finding.subject},
                        {"prevents_failover", prevents_failover},
                        {"prevents_rejoin", prevents_rejoin},
                        {"problem", finding.problem},
                        {"remedy", finding.remedy}});
  }
  return findings;
}

nlohmann::ordered_json readiness_to_json(const Readiness& readiness) {
  return {{"failover_would_work", readiness.failover_would_work},
          {"rejoin_would_work", readiness.rejoin_would_work},
          {"findings", findings_to_json(readiness.findings)}};
}

}  // namespace pgkeel
