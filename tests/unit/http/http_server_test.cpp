// An HttpServer that ends while many ask.
#include "proxy/http/http_server.h"

#include <algorithm>
#include <atomic>
#include <exception>
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
  CHECK(static_cast<std::size_t>(std::ranges::count_if(
            asking, [](Peer& peer) { return peer.receive_to_end().find("200 OK") != std::string::npos; })) == kThreads);
}

TEST_CASE("whoever sends a request byte by byte is cut off, however steadily they come") {
  HttpServer server(1);
  auto socket = HttpServer::listen_at("test", {"127.0.0.1", 0});
  REQUIRE(socket);
  const std::uint16_t port = socket->bound_port();
  std::thread serving([&] { server.serve(std::move(*socket)); });
  Peer slow = Peer::connect_to(port);
  slow.send("GET / HTTP/1.1\r\n");
  const std::string header = "A: b\r\n";
  bool is_cut_off = false;
  for (std::size_t sent = 0; sent < 30'000 && !is_cut_off; ++sent) {
    try {
      slow.send_what_fits(header.substr(sent % header.size(), 1));
    } catch (const std::exception&) {  // the end was faster than we could see
      is_cut_off = true;
    }
    is_cut_off = is_cut_off || slow.has_something_to_read();
    std::this_thread::sleep_for(std::chrono::milliseconds(1));
  }
  CHECK(is_cut_off);
  server.stop_serving();
  serving.join();
}
