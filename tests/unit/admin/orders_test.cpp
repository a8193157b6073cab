// What changes something through the admin endpoint: who may, how it is asked for, and what is answered.
#include <optional>
#include <string>
#include <vector>

#include <doctest/doctest.h>
#include <httplib.h>
#include <nlohmann/json.hpp>

#include "proxy/admin/admin_server.h"
#include "tests/support/temporary_folder.h"

using namespace pgkeel;
using namespace pgkeel::test;
using Json = nlohmann::json;

namespace {

constexpr const char* kToken = "0123456789abcdef";
constexpr const char* kTokenOfAlice = "0123456789alice0";
constexpr const char* kFailover = "/api/v1/clusters/orders/failover";

struct Endpoint {
  explicit Endpoint(AdminTokens tokens = {{"", kToken}, {"alice", kTokenOfAlice}}) {
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
    sources.tokens = std::move(tokens);
    sources.hosts = {"db1.example"};
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
    if (!claims.empty()) headers.emplace(kOperatorHeader, claims);
    return client.Post(path, headers, body, type);
  }

  TemporaryFolder folder;
  std::unique_ptr<EventLog> events;
  std::vector<OperatorOrder> known_orders;
  std::vector<OperatorOrder> given;  // written by the server's threads, read when they have answered
  std::vector<std::string> audited;
  std::string claims;  // of who asks
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
  const auto is_from_here = [](const std::string& by, const std::string& before, const std::string& behind) {
    const std::string address = before + "127.0.0.1:";
    const auto behind_port = by.find_first_not_of("0123456789", address.size());
    return by.starts_with(address) && (behind_port == std::string::npos ? "" : by.substr(behind_port)) == behind;
  };
  CHECK_MESSAGE(is_from_here(endpoint.given[0].given_by, "", ""), endpoint.given[0].given_by);
  // By the token it is known who it is; what a verb says of who runs it is told as that.
  CHECK(endpoint.post(kFailover, "{}", kTokenOfAlice)->status == 202);
  CHECK_MESSAGE(is_from_here(endpoint.given.back().given_by, "alice at ", ""), endpoint.given.back().given_by);
  endpoint.claims = "root";
  CHECK(endpoint.post(kFailover, "{}")->status == 202);
  CHECK_MESSAGE(is_from_here(endpoint.given.back().given_by, "", ", who says to be root"),
                endpoint.given.back().given_by);
  endpoint.claims = "a \"b\"";
  CHECK(endpoint.post(kFailover, "{}")->status == 202);
  CHECK_MESSAGE(is_from_here(endpoint.given.back().given_by, "", ""), endpoint.given.back().given_by);
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
  auto blocked = endpoint.post(kFailover, "{}", "fedcba987654321x");
  for (; wrong < 20 && blocked->status == 401; ++wrong)
    blocked = endpoint.post(kFailover, "{}", "fedcba987654321" + std::to_string(wrong));
  CHECK(wrong == 5);
  CHECK(blocked->status == 429);
  CHECK_FALSE(blocked->get_header_value("Retry-After").empty());
  CHECK(endpoint.given.empty());
  REQUIRE_FALSE(endpoint.audited.empty());
  CHECK(endpoint.audited[0].starts_with("a wrong token from 127.0.0.1:"));
  CHECK(endpoint.audited[0].find("fedcba") == std::string::npos);
  // That answer was held back until the first pause was over. In the next one not even the right token is looked at:
  // else it would limit nothing.
  CHECK(endpoint.post(kFailover, "{}", "fedcba987654321y")->status == 401);
  CHECK(endpoint.post(kFailover, "{}")->status == 429);
}

TEST_CASE("where there is no token nothing can be ordered") {
  Endpoint endpoint(AdminTokens{});
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

TEST_CASE("in clear the console and the API are told by our own names only, and what machines ask for by any") {
  Endpoint endpoint;
  httplib::Client client("127.0.0.1", endpoint.server->port());
  const auto status_of = [&](const char* path, const std::string& host) {
    return client.Get(path, {{"Host", host}})->status;
  };
  for (const char* path : {"/", "/console.js", "/api/v1/clusters", "/api/v1/events"}) {
    CAPTURE(path);
    CHECK(status_of(path, "127.0.0.1:7432") == 200);
    CHECK(status_of(path, "localhost") == 200);
    CHECK(status_of(path, "evil.example:7432") == 421);
  }
  CHECK(status_of("/api/v1/clusters", "db1.example:7432") == 200);
  CHECK(client.Get("/", {{"Host", "evil.example"}})->body.find("[admin] tls") != std::string::npos);
  CHECK(status_of("/metrics", "pgkeel.example.com:7432") == 200);
  CHECK(status_of("/healthz", "pgkeel.example.com") == 200);
  const auto order =
      client.Post(kFailover, {{"Host", "evil.example"}, {"Authorization", std::string("Bearer ") + kToken}}, "{}",
                  "application/json");
  CHECK(order->status == 421);
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
