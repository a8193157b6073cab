// Whatever condition a cluster is in, everybody who looks at it knows the word.
#include <algorithm>

#include <doctest/doctest.h>
#include <nlohmann/json.hpp>

#include "proxy/admin/embedded.h"
#include "proxy/metrics/exporter.h"
#include "replication/model/decision.h"
#include "replication/model/phase.h"

using namespace pgkeel;

TEST_CASE("the description of the endpoint and the console know each condition and phase") {
  const auto description = nlohmann::json::parse(openapi_json());
  const auto& cluster = description["components"]["schemas"]["Cluster"]["properties"];
  const std::string console = console_js();
  for (const Condition condition : kAllConditions) {
    const std::string word = condition_name(condition);
    CAPTURE(word);
    const auto& described = cluster["condition"]["enum"];
    CHECK(std::find(described.begin(), described.end(), word) != described.end());
    CHECK(console.find("\"" + word + "\": \"") != std::string::npos);
  }
  for (const Phase phase : kAllPhases) {
    const std::string word = phase_name(phase);
    CAPTURE(word);
    const auto& described = cluster["phase"]["enum"];
    CHECK(std::find(described.begin(), described.end(), word) != described.end());
  }
}

TEST_CASE("each order can be given over HTTP") {
  const auto description = nlohmann::json::parse(openapi_json());
  for (const OrderKind kind : kAllOrderKinds)
    CHECK(description["paths"].contains(std::string("/api/v1/clusters/{cluster}/") + order_name(kind)));
}

TEST_CASE("each condition is a metric") {
  ClusterStatus cluster;
  cluster.name = "orders";
  for (const Condition condition : kAllConditions) {
    cluster.condition = condition_name(condition);
    const std::string sample = "condition=\"" + cluster.condition + "\"} 1";
    CAPTURE(sample);
    CHECK(prometheus_text({cluster}, {}).find(sample) != std::string::npos);
  }
}
