// The admin endpoint among connections that mean it ill, or are merely slow.
#include "proxy/admin/admin_server.h"

#include <string>
#include <thread>
#include <vector>

#include <doctest/doctest.h>
#include <httplib.h>

#include "tests/support/bad_company.h"
#include "tests/support/peer.h"
#include "tests/support/wait_until.h"

using namespace pgkeel;
using namespace pgkeel::test;
using namespace std::chrono_literals;

namespace {

constexpr std::size_t kBadConnections = 200;

std::unique_ptr<AdminServer> serve(std::size_t metrics_bytes = 10) {
  AdminSources sources;
  sources.clusters = [] { return std::vector<ClusterStatus>{}; };
  sources.metrics = [metrics_bytes](const auto&) { return std::string(metrics_bytes, 'm'); };
  auto server = AdminServer::start({"127.0.0.1", 0}, std::move(sources));
  REQUIRE(server);
  return std::move(*server);
}

// Several times, each within a time in which the crowd alone would hold every thread.
void check_answers(const AdminServer& server) {
  for (int time = 0; time < 3; ++time) {
    httplib::Client client("127.0.0.1", server.port());
    client.set_read_timeout(4s * kSlowdown);
    for (const char* path : {"/healthz", "/metrics"}) {
      const auto answer = client.Get(path);
      REQUIRE_MESSAGE(answer, httplib::to_string(answer.error()));
      CHECK(answer->status == 200);
    }
  }
}

}  // namespace

TEST_CASE("silent connections do not keep the endpoint from answering") {
  const auto server = serve();
  const BadCompany company(server->port(), kBadConnections, "");
  check_answers(*server);
}

TEST_CASE("requests that come byte by byte do not keep the endpoint from answering") {
  const auto server = serve();
  SUBCASE("in the header") {
    const BadCompany company(server->port(), kBadConnections, "GET /healthz HTTP/1.1\r\nX: ", "x");
    check_answers(*server);
  }
  SUBCASE("in the body") {
    const BadCompany company(server->port(), kBadConnections, "POST /healthz HTTP/1.1\r\nContent-Length: 60000\r\n\r\n",
                             "x");
    check_answers(*server);
  }
}

TEST_CASE("connections that do not read their answer do not keep the endpoint from answering") {
  const auto server = serve(8 << 20);
  std::vector<Peer> deaf;
  while (deaf.size() < 60) {
    deaf.push_back(Peer::connect_to(server->port()));
    deaf.back().send("GET /metrics HTTP/1.1\r\n\r\n");
  }
  httplib::Client client("127.0.0.1", server->port());
  client.set_read_timeout(4s * kSlowdown);
  const auto answer = client.Get("/healthz");
  REQUIRE_MESSAGE(answer, httplib::to_string(answer.error()));
  CHECK(answer->status == 200);
}

TEST_CASE("a slow client is served where it is in nobody's way, a request that does not end is dropped") {
  const auto server = serve();
  Peer slow = Peer::connect_to(server->port());
  slow.send("GET /healthz HT");
  std::this_thread::sleep_for(100ms);
  slow.send("TP/1.1\r\n\r\n");
  CHECK(slow.receive(15) == "HTTP/1.1 200 OK");
  Peer endless = Peer::connect_to(server->port());
  endless.send("GET /healthz HT");
  CHECK(endless.receive_to_end().empty());
}

TEST_CASE("what is left of a body that is too long is not taken for another request") {
  const auto server = serve();
  Peer client = Peer::connect_to(server->port());
  std::string body;
  while (body.size() < 4'000'000) body += "GET /healthz HTTP/1.1\r\nHost: a\r\n\r\n";
  client.send_what_fits("POST /api/v1/reload HTTP/1.1\r\nHost: a\r\nContent-Length: " + std::to_string(body.size()) +
                        "\r\n\r\n" + body);
  CHECK(client.receive_to_end().find(" 200 ") == std::string::npos);
  check_answers(*server);
}

TEST_CASE("a request with headers without end is cut off, and not kept in memory") {
  const auto server = serve();
  Peer client = Peer::connect_to(server->port());
  std::string request = "GET /healthz HTTP/1.1\r\nHost: a\r\n";
  while (request.size() < 300'000) request += "Header: " + std::string(1000, 'h') + "\r\n";
  client.send_what_fits(request + "\r\n");
  CHECK(client.receive_to_end().find(" 200 ") == std::string::npos);
  check_answers(*server);
}

TEST_CASE("several requests on one connection are served, also where they come in one piece") {
  const auto server = serve();
  httplib::Client client("127.0.0.1", server->port());
  client.set_keep_alive(true);
  for (int request = 0; request < 5; ++request) CHECK(client.Get("/healthz")->body == "ok\n");
  Peer hasty = Peer::connect_to(server->port());
  hasty.send("GET /healthz HTTP/1.1\r\n\r\nGET /metrics HTTP/1.1\r\nConnection: close\r\n\r\n");
  const std::string heard = hasty.receive_to_end();
  CHECK(heard.find("ok\n") != std::string::npos);
  CHECK(heard.find("mmmmmmmmmm") != std::string::npos);
}
