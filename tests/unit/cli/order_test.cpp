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
  for (const auto& order : {OperatorOrder{}, failover, rejoin, resolve}) {
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
