#include "proxy/cli/order.h"

#include <doctest/doctest.h>

#include "proxy/admin/order_json.h"

using namespace pgkeel;

TEST_CASE("what the verbs post is what the endpoint takes") {
  OperatorOrder failover;
  failover.node = "b";
  failover.accept_loss = true;
  OperatorOrder rejoin;
  rejoin.kind = OrderKind::kRejoin;
  rejoin.node = "b";
  rejoin.rebuild = true;
  rejoin.discard_old_data = true;
  OperatorOrder resolve;
  resolve.kind = OrderKind::kResolve;
  resolve.node = "a";
  OperatorOrder switchover;
  switchover.kind = OrderKind::kSwitchover;
  switchover.node = "b";
  OperatorOrder begins;
  begins.kind = OrderKind::kMaintenance;
  begins.on = true;
  OperatorOrder node_ends = begins;
  node_ends.on = false;
  node_ends.node = "b";
  OperatorOrder stop;
  stop.kind = OrderKind::kStop;
  OperatorOrder start;
  start.kind = OrderKind::kStart;
  OperatorOrder provision;
  provision.kind = OrderKind::kProvision;
  provision.node = "b";
  for (const auto& order :
       {OperatorOrder{}, failover, rejoin, provision, resolve, switchover, begins, node_ends, stop, start}) {
    for (const bool preview : {false, true}) {
      const auto post = order_post("orders", order, preview);
      CHECK(post.path == std::string("/api/v1/clusters/orders/") + order_name(order.kind));
      const auto parsed = parse_order(order.kind, post.body);
      REQUIRE_MESSAGE(parsed, parsed.error().message);
      CHECK(parsed->order == order);
      CHECK(parsed->preview == preview);
    }
  }
}

TEST_CASE("a teardown is posted with the name of the cluster, a question about it without") {
  OperatorOrder teardown;
  teardown.kind = OrderKind::kTeardown;
  CHECK(parse_order(OrderKind::kTeardown, order_post("orders", teardown, false).body)->name == "orders");
  const auto preview = parse_order(OrderKind::kTeardown, order_post("orders", teardown, true).body);
  REQUIRE(preview);
  CHECK(preview->preview);
  CHECK(preview->name.empty());
}
