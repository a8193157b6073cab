#include "proxy/admin/order_json.h"

#include <doctest/doctest.h>
#include <nlohmann/json.hpp>

using namespace pgkeel;

TEST_CASE("each order has its members, and no others") {
  const auto failover = parse_order(OrderKind::kFailover, R"({"to": "b", "accept_loss": true, "preview": true})");
  REQUIRE(failover);
  CHECK(failover->order.node == "b");
  CHECK(failover->order.accept_loss);
  CHECK(failover->preview);
  CHECK(parse_order(OrderKind::kFailover, "")->order == OperatorOrder{});
  CHECK(parse_order(OrderKind::kFailover, "{}")->order.node.empty());
  const auto rejoin = parse_order(OrderKind::kRejoin, R"({"node": "b", "rebuild": true, "discard_old_data": true})");
  REQUIRE(rejoin);
  CHECK(rejoin->order.rebuild);
  CHECK(rejoin->order.discard_old_data);
  CHECK(parse_order(OrderKind::kResolve, R"({"keep": "b"})")->order.node == "b");
  CHECK(parse_order(OrderKind::kSwitchover, R"({"to": "b"})")->order.node == "b");
  const auto maintenance = parse_order(OrderKind::kMaintenance, R"({"on": true, "node": "b"})");
  REQUIRE(maintenance);
  CHECK(maintenance->order.on);
  CHECK(maintenance->order.node == "b");
  const auto ends = parse_order(OrderKind::kMaintenance, R"({"on": false})");
  REQUIRE(ends);
  CHECK_FALSE(ends->order.on);
  CHECK(ends->order.node.empty());
  for (const OrderKind kind : {OrderKind::kStop, OrderKind::kStart}) {
    REQUIRE(parse_order(kind, ""));
    CHECK(parse_order(kind, R"({"preview": true})")->preview);
  }
  CHECK(parse_order(OrderKind::kTeardown, R"({"name": "orders"})")->name == "orders");
  CHECK(parse_order(OrderKind::kTeardown, R"({"preview": true})")->name.empty());
  CHECK(parse_order(OrderKind::kProvision, R"({"node": "b"})")->order.node == "b");
}

TEST_CASE("a body that is not what is described is refused, and says what is wrong") {
  const auto refused = [](OrderKind kind, const char* body, const std::string& why) {
    CAPTURE(body);
    const auto parsed = parse_order(kind, body);
    REQUIRE_FALSE(parsed);
    CHECK_MESSAGE(parsed.error().message.find(why) != std::string::npos, parsed.error().message);
  };
  refused(OrderKind::kFailover, "{", "no JSON object");
  refused(OrderKind::kFailover, "[]", "no JSON object");
  refused(OrderKind::kFailover, "null", "no JSON object");
  refused(OrderKind::kFailover, R"({"accept_los": true})", "\"accept_los\" is not known here");
  refused(OrderKind::kFailover, R"({"accept_loss": "true"})", "must be true or false");
  refused(OrderKind::kFailover, R"({"to": 1})", "must be a string");
  refused(OrderKind::kFailover, R"({"node": "b"})", "\"node\" is not known here");
  refused(OrderKind::kRejoin, "{}", "\"node\" must name a node");
  refused(OrderKind::kRejoin, R"({"node": "b", "discard_old_data": true})", "belongs to \"rebuild\"");
  refused(OrderKind::kProvision, "{}", "\"node\" must name a node");
  refused(OrderKind::kProvision, R"({"node": "b", "rebuild": true})", "\"rebuild\" is not known here");
  refused(OrderKind::kProvision, R"({"node": "b", "objection": ""})", "\"objection\" is not known here");
  refused(OrderKind::kResolve, "", "\"keep\" must name a node");
  refused(OrderKind::kMaintenance, "{}", "\"on\" must be true or false");
  refused(OrderKind::kMaintenance, R"({"on": "yes"})", "\"on\" must be true or false");
  refused(OrderKind::kMaintenance, R"({"on": true, "to": "b"})", "\"to\" is not known here");
  refused(OrderKind::kStop, R"({"node": "b"})", "\"node\" is not known here");
  refused(OrderKind::kStart, R"({"on": true})", "\"on\" is not known here");
  refused(OrderKind::kTeardown, R"({"name": true})", "must be a string");
}

TEST_CASE("an answer says where the order can be watched, a refusal why") {
  OrderAnswer answer;
  answer.reason = "nobody can be promoted";
  CHECK(nlohmann::json::parse(order_answer_json(answer, "", 0)) ==
        nlohmann::json({{"accepted", false}, {"reason", "nobody can be promoted"}}));
  answer = {.accepted = true, .id = 7, .reason = "", .consequences = "b is promoted", .bytes_at_stake = 42};
  const auto json = nlohmann::json::parse(order_answer_json(answer, "/api/v1/clusters/orders/orders/7", 99));
  CHECK(json["accepted"] == true);
  CHECK(json["id"] == 7);
  CHECK(json["watch"] == "/api/v1/clusters/orders/orders/7");
  CHECK(json["newest_event"] == 99);
  CHECK(json["bytes_at_stake"] == 42);
  CHECK_FALSE(nlohmann::json::parse(order_answer_json(answer, "", 99)).contains("id"));
}
