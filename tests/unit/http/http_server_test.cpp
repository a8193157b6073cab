// An HttpServer that ends while many ask.
#include "proxy/http/http_server.h"

#include <atomic>
#include <string>
#include <thread>
#include <vector>

#include <doctest/doctest.h>

#include "tests/support/peer.h"
#include "tests/support/wait_until.h"

using namespace pgkeel;
using namespace pgkeel::test;

TEST_CASE("a server that ends answers what it has begun, and none of the requests that wait behind that") {
  constexpr std::size_t kThreads = 2;
  HttpServer server(kThreads);
  std::atomic<std::size_t> begun{0};
  std::atomic<bool> may_answer{false};
  server.Get("/", [&](const httplib::Request&, httplib::Response& response) {
    ++begun;
    may_answer.wait(false);
    response.set_content("answer", "text/plain");
  });
  auto socket = HttpServer::listen_at("test", {"127.0.0.1", 0});
  REQUIRE(socket);
  const std::uint16_t port = socket->bound_port();
  std::thread serving([&] { server.serve(std::move(*socket)); });

  std::string requests;
  for (int each = 0; each < 50; ++each) requests += "GET / HTTP/1.1\r\nHost: x\r\n\r\n";
  std::vector<Peer> asking;
  asking.reserve(60);  // more than may wait for a thread
  for (int each = 0; each < 60; ++each) {
    asking.push_back(Peer::connect_to(port));
    asking.back().send(requests);
  }
  REQUIRE(wait_until([&] { return begun == kThreads; }));
  server.stop_serving();
  may_answer = true;
  may_answer.notify_all();
  serving.join();
  CHECK(begun == kThreads);
}
