#include "config/shared_settings.h"

#include <algorithm>

#include <doctest/doctest.h>

#include "config/example.h"
#include "config/parse.h"

using namespace pgkeel;
using namespace std::chrono_literals;

namespace {

Config example() {
  Config config = parse_config(example_toml(), "f").value();
  config.coordination.etcd = {"http://10.0.0.11:2379"};
  config.coordination.vip = {"10.0.0.100/24", "eth0"};
  return config;
}

std::vector<std::string> differing(const Config& ours, const Config& theirs) {
  return differing_settings(shared_settings(ours), shared_settings(theirs));
}

std::string digest(const Config& config) {
  return digest_of(shared_settings(config));
}

using Names = std::vector<std::string>;

}  // namespace

TEST_CASE("two pgkeels with the same settings differ in nothing") {
  CHECK(differing(example(), example()).empty());
  CHECK(digest(example()) == digest(example()));
  CHECK(digest(example()).size() == 16);
}

TEST_CASE("what a host has of its own is no difference") {
  Config other = example();
  other.proxy.workers = 7;
  other.proxy.max_client_connections = 7;
  other.admin.listen = {"10.0.0.2", 1};
  other.admin.token_file = "/other";
  other.admin.tls = {"/other", "/other", "/other"};
  other.state_directory = "/other";
  other.log = {LogLevel::kDebug, LogFormat::kJson};
  other.quarantine.max_bytes = 7;
  other.coordination.name = "other";
  other.coordination.etcd = {"https://other:2379"};
  other.coordination.tls.ca = "/other";
  other.coordination.peer = {{"h", 1}, {"i", 2}, {"/a", "/b", "/c"}};
  other.coordination.vip.interface = "eth1";
  ClusterConfig& cluster = other.clusters[0];
  cluster.listen = {"10.0.0.2", 5432};
  cluster.monitor.password_file = "/other";
  cluster.client_tls.cert = "/other";
  cluster.nodes[0].local.reset();
  cluster.nodes[0].agent = AgentAccessConfig{"https://h:1", {"/ca", "/cert", "/key"}};
  CHECK(differing(example(), other).empty());
  CHECK(digest(example()) == digest(other));
}

TEST_CASE("what all must have in common is named where it differs") {
  Config other = example();
  other.proxy.hold_timeout = 7s;
  other.coordination.lease = 7s;
  other.coordination.prefix = "/other/";
  other.coordination.vip.address = "10.0.0.101/24";
  other.clusters[0].durability = Durability::kStrict;
  other.clusters[0].detection.failure_timeout = 7s;
  other.clusters[0].nodes[1].priority = 7;
  CHECK(differing(example(), other) == Names{"cluster.orders.detection.failure_timeout", "cluster.orders.durability",
                                             "cluster.orders.node.b.priority", "coordination.lease",
                                             "coordination.prefix", "coordination.vip.address", "proxy.hold_timeout"});
  CHECK(differing(other, example()) == differing(example(), other));
  CHECK(digest(example()) != digest(other));
}

TEST_CASE("a cluster or node that one of them lacks is named as a whole") {
  Config other = example();
  other.clusters[0].nodes.push_back({.name = "c", .address = {"10.0.0.3", 5432}, .local = {}});
  other.clusters.push_back(example().clusters[0]);
  other.clusters[1].name = "stock";
  const Names names{"cluster.orders.node (order)", "cluster.orders.node.c", "cluster.stock"};
  CHECK(differing(example(), other) == names);
  CHECK(differing(other, example()) == names);
}

TEST_CASE("the order of nodes is a difference: the first of two equals is promoted") {
  Config other = example();
  std::ranges::reverse(other.clusters[0].nodes);
  CHECK(differing(example(), other) == Names{"cluster.orders.node (order)"});
}
