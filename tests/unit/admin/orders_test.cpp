// What changes something through the admin endpoint: who may, how it is asked for, and what is answered.
#include <algorithm>
#include <mutex>
#include <optional>
#include <string>
#include <vector>

#include <doctest/doctest.h>
#include <httplib.h>
#include <nlohmann/json.hpp>

#include "proxy/admin/admin_server.h"
#include "proxy/admin/embedded.h"
#include "tests/support/temporary_folder.h"

using namespace pgkeel;
using namespace pgkeel::test;
using Json = nlohmann::json;

namespace {

constexpr const char* kToken = "0123456789abcdef";
constexpr const char* kFailover = "/api/v1/clusters/orders/failover";

struct Endpoint {
  explicit Endpoint(const std::string& token = kToken) {
    auto opened = EventLog::open(folder.path());
    REQUIRE(opened);
    events = std::move(*opened);
    AdminSources sources;
    sources.clusters = [this] {
      ClusterStatus cluster;
      cluster.name = "orders";
      for (const char* name : {"a", "b"}) cluster.nodes.emplace_back().name = name;
      cluster.orders = known_orders;
      return std::vector{cluster};
    };
    sources.metrics = [](const auto&) { return std::string(); };
    sources.events = events.get();
    sources.token = token;
    sources.give_order = [this](const std::string&, const OperatorOrder& order, bool) -> std::optional<OrderAnswer> {
      given.push_back(order);
      return answer;
    };
    sources.audit = [this](const std::string& text) { audited.push_back(text); };
    auto started = AdminServer::start({"127.0.0.1", 0}, std::move(sources));
    REQUIRE(started);
    server = std::move(*started);
  }

  httplib::Result post(const std::string& path, const std::string& body, const std::string& token = kToken,
                       const std::string& type = "application/json") const {
    httplib::Client client("127.0.0.1", server->port());
    httplib::Headers headers;
    if (!token.empty()) headers.emplace("Authorization", "Bearer " + token);
    return client.Post(path, headers, body, type);
  }

  TemporaryFolder folder;
  std::unique_ptr<EventLog> events;
  std::vector<OperatorOrder> known_orders;
  std::vector<OperatorOrder> given;  // written by the server's threads, read when they have answered
  std::vector<std::string> audited;
  std::optional<OrderAnswer> answer = OrderAnswer{
      .accepted = true, .id = 7, .reason = "", .consequences = "b is promoted", .bytes_at_stake = std::nullopt};
  std::unique_ptr<AdminServer> server;
};

}  // namespace

TEST_CASE("an order that is accepted says where it can be watched, and who gave it") {
  Endpoint endpoint;
  const auto answer = endpoint.post(kFailover, R"({"to": "b"})");
  REQUIRE(answer);
  CHECK(answer->status == 202);
  CHECK(answer->get_header_value("Location") == "/api/v1/clusters/orders/orders/7");
  CHECK(Json::parse(answer->body)["watch"] == "/api/v1/clusters/orders/orders/7");
  REQUIRE(endpoint.given.size() == 1);
  CHECK(endpoint.given[0].node == "b");
  CHECK(endpoint.given[0].given_by.starts_with("127.0.0.1:"));
  CHECK(endpoint.post(kFailover, R"({"preview": true})")->status == 200);
  CHECK(endpoint.post(kFailover, "{}", kToken, "application/json; charset=utf-8")->status == 202);
}

TEST_CASE("an order that is refused says why") {
  Endpoint endpoint;
  endpoint.answer = OrderAnswer{};
  endpoint.answer->reason = "b has its replay paused";
  const auto answer = endpoint.post(kFailover, "{}");
  CHECK(answer->status == 409);
  CHECK(Json::parse(answer->body)["reason"] == "b has its replay paused");
  endpoint.answer.reset();
  CHECK(endpoint.post(kFailover, "{}")->status == 503);
}

TEST_CASE("nothing is ordered without the token, and repeated wrong ones have to wait") {
  Endpoint endpoint;
  CHECK(endpoint.post(kFailover, "{}", "")->status == 401);
  CHECK(endpoint.post(kFailover, "{}", "")->get_header_value("WWW-Authenticate").starts_with("Bearer"));
  int wrong = 0;
  auto blocked = endpoint.post(kFailover, "{}", "fedcba9876543210");
  for (; wrong < 20 && blocked->status == 401; ++wrong) blocked = endpoint.post(kFailover, "{}", "fedcba9876543210");
  CHECK(wrong == 5);
  CHECK(blocked->status == 429);
  CHECK_FALSE(blocked->get_header_value("Retry-After").empty());
  CHECK(endpoint.given.empty());
  REQUIRE_FALSE(endpoint.audited.empty());
  CHECK(endpoint.audited[0].starts_with("a wrong token from 127.0.0.1:"));
  CHECK(endpoint.audited[0].find("fedcba") == std::string::npos);
  // Who guesses keeps nobody out that is behind the same address.
  CHECK(endpoint.post(kFailover, "{}")->status == 202);
}

TEST_CASE("where there is no token nothing can be ordered") {
  Endpoint endpoint("");
  CHECK(endpoint.post(kFailover, "{}", "")->status == 503);
  CHECK(endpoint.post(kFailover, "{}", "anything at all")->status == 503);
  CHECK(endpoint.given.empty());
}

TEST_CASE("what a web page could make a browser send changes nothing") {
  Endpoint endpoint;
  for (const char* type : {"text/plain", "application/x-www-form-urlencoded", ""}) {
    CAPTURE(type);
    CHECK(endpoint.post(kFailover, "{}", kToken, type)->status == 415);
  }
  CHECK(endpoint.post(kFailover, "{}", kToken, "multipart/form-data; boundary=x")->status == 400);  // by cpp-httplib
  httplib::Client client("127.0.0.1", endpoint.server->port());
  const auto got = client.Get(kFailover, {{"Authorization", std::string("Bearer ") + kToken}});
  CHECK(got->status == 405);
  CHECK(got->get_header_value("Allow") == "POST");
  CHECK_FALSE(got->has_header("Access-Control-Allow-Origin"));
  CHECK(endpoint.given.empty());
}

TEST_CASE("what is misspelt or unknown is refused, never ordered") {
  Endpoint endpoint;
  CHECK(endpoint.post(kFailover, R"({"too": "b"})")->status == 400);
  CHECK(endpoint.post(kFailover, R"({"to": "z"})")->status == 404);
  CHECK(endpoint.post("/api/v1/clusters/nobody/failover", "{}")->status == 404);
  CHECK(endpoint.post("/api/v1/clusters/orders/explode", "{}")->status == 404);
  CHECK(endpoint.post(kFailover, "{\"to\": \"" + std::string(100'000, 'b') + "\"}")->status == 413);
  CHECK(endpoint.given.empty());
}

TEST_CASE("an order can be looked at while it is known") {
  Endpoint endpoint;
  OperatorOrder order;
  order.id = 7;
  order.node = "b";
  order.state = OrderState::kDone;
  order.message = "b is the primary";
  endpoint.known_orders = {order};
  httplib::Client client("127.0.0.1", endpoint.server->port());
  const auto answer = client.Get("/api/v1/clusters/orders/orders/7");
  CHECK(answer->status == 200);
  CHECK(Json::parse(answer->body)["state"] == "done");
  CHECK(Json::parse(answer->body)["message"] == "b is the primary");
  CHECK(client.Get("/api/v1/clusters/orders/orders/8")->status == 404);
  CHECK(Json::parse(client.Get("/api/v1/clusters/orders")->body)["orders"][0]["order"] == "failover");
}

TEST_CASE("openapi.json describes what is served, no more and no less") {
  Endpoint endpoint;
  httplib::Client client("127.0.0.1", endpoint.server->port());
  const Json document = Json::parse(client.Get("/api/v1/openapi.json")->body);
  CHECK(document == Json::parse(openapi_json()));
  std::vector<std::string> described;
  for (const auto& [path, operations] : document["paths"].items()) {
    for (const auto& [method, operation] : operations.items()) {
      if (method == "parameters") continue;
      std::string upper = method;
      std::ranges::transform(upper, upper.begin(), [](char c) { return static_cast<char>(c - 'a' + 'A'); });
      described.push_back(upper + " " + path);
      CHECK_MESSAGE(operation.contains("security") == (method == "post"), path);
    }
  }
  auto served = endpoint.server->routes();
  std::ranges::sort(served);
  std::ranges::sort(described);
  CHECK(served == described);
}

TEST_CASE("every reference in openapi.json leads somewhere") {
  const Json document = Json::parse(openapi_json());
  std::vector<const Json*> left = {&document};
  while (!left.empty()) {
    const Json& here = *left.back();
    left.pop_back();
    for (const auto& [key, value] : here.items()) {
      if (key == "$ref") {
        INFO(value.get<std::string>());
        CHECK(document.contains(Json::json_pointer(value.get<std::string>().substr(1))));
      }
      if (value.is_structured()) left.push_back(&value);
    }
  }
}
