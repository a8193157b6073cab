// What load balancers are told.
#include <doctest/doctest.h>
#include <httplib.h>

#include "proxy/admin/admin_server.h"
#include "proxy/admin/balancer_answer.h"

using namespace pgkeel;

namespace {

NodeStatus node(const std::string& name, const std::string& role, bool streaming) {
  NodeStatus made;
  made.name = name;
  made.role = role;
  made.streaming = streaming;
  made.note = "as it is";
  return made;
}

// a is the primary, b streams, c does not.
ClusterStatus cluster(const std::string& name, const std::string& route = "a") {
  ClusterStatus made;
  made.name = name;
  made.route = route;
  made.summary = "in summary";
  made.nodes = {node("a", "primary", false), node("b", "standby", true), node("c", "standby", false)};
  return made;
}

ReaderStatus reader(const std::string& name, bool takes_new, const std::string& why_not = "") {
  ReaderStatus made;
  made.node = name;
  made.takes_new = takes_new;
  made.why_not = why_not;
  return made;
}

int status_of(BalancerQuestion question, const std::string& name, const std::string& of_node,
              const std::vector<ClusterStatus>& clusters) {
  return answer_balancer(question, clusters, name, of_node).status;
}

}  // namespace

TEST_CASE("a primary is where the access point leads") {
  const std::vector<ClusterStatus> clusters = {cluster("orders"), cluster("stock", "")};
  const auto primary = BalancerQuestion::kPrimary;
  CHECK(status_of(primary, "orders", "", clusters) == 200);
  CHECK(status_of(primary, "orders", "a", clusters) == 200);
  CHECK(status_of(primary, "orders", "b", clusters) == 503);
  CHECK(status_of(primary, "orders", "x", clusters) == 404);
  CHECK(status_of(primary, "stock", "", clusters) == 503);
  CHECK(status_of(primary, "stock", "a", clusters) == 503);
  CHECK(status_of(primary, "none", "", clusters) == 404);
  CHECK(answer_balancer(primary, clusters, "", "").text == "stock: in summary");
  CHECK(status_of(primary, "", "", {cluster("orders")}) == 200);
  CHECK(status_of(primary, "", "", {}) == 200);  // there is nothing that is not as it should be
}

TEST_CASE("a replica is a standby that streams, and not where the access point leads") {
  const std::vector<ClusterStatus> clusters = {cluster("orders")};
  const auto replica = BalancerQuestion::kReplica;
  CHECK(status_of(replica, "orders", "", clusters) == 200);
  CHECK(status_of(replica, "orders", "a", clusters) == 503);
  CHECK(status_of(replica, "orders", "b", clusters) == 200);
  CHECK(answer_balancer(replica, clusters, "orders", "c").text == "orders: c is not: as it is");
  CHECK(status_of(replica, "orders", "x", clusters) == 404);
  ClusterStatus alone = cluster("orders", "b");
  alone.nodes[1].role = "primary";
  CHECK(status_of(replica, "orders", "", {alone}) == 503);
}

TEST_CASE("with a read-only endpoint, a replica is a standby that it leads to") {
  ClusterStatus orders = cluster("orders");
  auto& nodes = orders.read_only.emplace().nodes;
  nodes = {reader("a", true), reader("b", true), reader("c", false, "it is 3 s behind")};
  nodes[0].is_primary = true;
  const auto replica = BalancerQuestion::kReplica;
  CHECK(answer_balancer(replica, {orders}, "orders", "").text == "orders: the read-only endpoint leads to standby b");
  CHECK(status_of(replica, "orders", "b", {orders}) == 200);
  CHECK(status_of(replica, "orders", "a", {orders}) == 503);
  CHECK(answer_balancer(replica, {orders}, "orders", "c").text ==
        "orders: the read-only endpoint leads to no standby c; c: it is 3 s behind");
  // It streams, and is too far behind to be read from.
  nodes[1] = reader("b", false, "it is 2 s behind");
  const auto none = answer_balancer(replica, {orders}, "", "");
  CHECK(none.status == 503);
  CHECK(
      none.text ==
      "orders: the read-only endpoint leads to no standby; a is the primary; b: it is 2 s behind; c: it is 3 s behind");
}

TEST_CASE("a pgkeel that is alone is the leader") {
  CHECK(status_of(BalancerQuestion::kLeader, "orders", "", {cluster("orders", "")}) == 200);
  CHECK(status_of(BalancerQuestion::kLeader, "none", "", {cluster("orders")}) == 404);
}

TEST_CASE("of several pgkeels the one that decides is the leader") {
  ClusterStatus orders = cluster("orders");
  orders.agreement.emplace();
  CHECK(answer_balancer(BalancerQuestion::kLeader, {orders}, "", "").text == "orders: no pgkeel decides now");
  orders.agreement->leader = "one";
  CHECK(status_of(BalancerQuestion::kLeader, "orders", "", {orders}) == 503);
  CHECK(answer_balancer(BalancerQuestion::kLeader, {orders}, "", "").text == "orders: pgkeel one decides");
  orders.agreement->leads = true;
  CHECK(status_of(BalancerQuestion::kLeader, "orders", "", {orders}) == 200);
}

TEST_CASE("over HTTP the cluster and the node stand in the path, or in the query; HEAD will do") {
  AdminSources sources;
  sources.clusters = [] { return std::vector{cluster("orders"), cluster("stock", "")}; };
  const auto server = AdminServer::start({"127.0.0.1", 0}, std::move(sources));
  REQUIRE(server);
  httplib::Client client("127.0.0.1", (*server)->port());
  CHECK(client.Get("/primary")->status == 503);
  CHECK(client.Get("/primary/orders")->status == 200);
  CHECK(client.Head("/primary/orders")->status == 200);
  CHECK(client.Get("/primary?cluster=orders")->status == 200);
  CHECK(client.Get("/primary?cluster=orders&node=b")->status == 503);
  CHECK(client.Get("/primary/orders?node=b")->status == 503);
  CHECK(client.Get("/primary/orders/a")->status == 200);
  CHECK(client.Get("/primary/stock")->body == "stock: in summary\n");
  CHECK(client.Get("/replica/orders")->status == 200);
  CHECK(client.Get("/replica/orders/b")->status == 200);
  CHECK(client.Get("/replica/orders/a")->status == 503);
  CHECK(client.Get("/leader")->status == 200);
  CHECK(client.Get("/leader/orders")->status == 200);
  CHECK(client.Get("/leader/none")->status == 404);
}
