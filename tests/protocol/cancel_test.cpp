// Cancel requests find the server that owns their key, and no other.
#include <string>

#include <doctest/doctest.h>

#include "tests/protocol/proxy_under_test.h"

using namespace pgkeel;
using namespace pgkeel::test;
using namespace pgkeel::wire_test;

TEST_CASE("a cancel request reaches the server that owns the key, with keys of any length") {
  ProxyUnderTest proxy;
  proxy.route_to_a(1);
  for (const std::size_t size : {4U, 32U, 256U}) {
    CAPTURE(size);
    const std::string secret(size, 's');
    auto session = proxy.establish(proxy.a, 77, secret);
    Peer cancel = proxy.connect();
    for (const char byte : cancel_request(77, secret)) cancel.send(std::string(1, byte));
    Peer heard = proxy.a.accept();
    CHECK(heard.receive(cancel_request(77, secret).size()) == cancel_request(77, secret));
    // The client learns from the end of its connection that the server has seen the request.
    CHECK_FALSE(cancel.has_something_to_read());
    heard.close();
    CHECK(cancel.receive_to_end().empty());
    CHECK_FALSE(cancel.ended_by_reset());
  }
  CHECK(wait_until([&] { return proxy.stats().cancels_forwarded == 3; }));
}

TEST_CASE("encryption may be asked for before a cancel request") {
  ProxyUnderTest proxy;
  proxy.route_to_a(1);
  auto session = proxy.establish(proxy.a, 77, "abcd");
  Peer cancel = proxy.connect();
  cancel.send(ssl_request());
  CHECK(cancel.receive(1) == "N");
  cancel.send(cancel_request(77, "abcd"));
  CHECK(proxy.a.accept().receive(16) == cancel_request(77, "abcd"));
}

TEST_CASE("an unknown key is closed, and no server hears of it") {
  ProxyUnderTest proxy;
  proxy.route_to_a(1);
  auto session = proxy.establish(proxy.a, 77, "abcd");
  for (const std::string& request :
       {cancel_request(77, "abce"), cancel_request(78, "abcd"), cancel_request(77, "abcdefgh")}) {
    Peer cancel = proxy.connect();
    cancel.send(request);
    CHECK(cancel.receive_to_end().empty());
  }
  CHECK_FALSE(proxy.a.somebody_waits());
  CHECK(proxy.stats().cancels_forwarded == 0);
}

TEST_CASE("a cancel request from a network that is not allowed is closed, and no server hears of it") {
  ProxyUnderTest proxy({.proxy = {.workers = 1}, .allow = {"127.0.0.1/32"}});
  proxy.route_to_a(1);
  auto session = proxy.establish(proxy.a, 77, "abcd");
  Peer stranger = Peer::connect_to(proxy.port(), "127.0.0.2");
  stranger.send(cancel_request(77, "abcd"));
  CHECK(stranger.receive_to_end().empty());
  CHECK_FALSE(proxy.a.somebody_waits());
  CHECK(proxy.stats().cancels_forwarded == 0);
  Peer client = proxy.connect();
  client.send(cancel_request(77, "abcd"));
  CHECK(proxy.a.accept().receive(16) == cancel_request(77, "abcd"));
}

TEST_CASE("the key of a session that is over is unknown") {
  ProxyUnderTest proxy;
  proxy.route_to_a(1);
  {
    auto session = proxy.establish(proxy.a, 77, "abcd");
    session.client.close();
    session.server.receive_to_end();
  }
  REQUIRE(wait_until([&] { return proxy.stats().open == 0; }));
  Peer cancel = proxy.connect();
  cancel.send(cancel_request(77, "abcd"));
  CHECK(cancel.receive_to_end().empty());
  CHECK_FALSE(proxy.a.somebody_waits());
}

TEST_CASE("after a change of the route a cancel request reaches neither the old server nor the new one") {
  ProxyUnderTest proxy;
  proxy.route_to_a(1);
  auto session = proxy.establish(proxy.a, 77, "abcd");
  Peer on_its_way = proxy.connect();
  on_its_way.send(cancel_request(77, "abcd"));
  Peer heard = proxy.a.accept();
  proxy.route_to_b(2);
  CHECK(on_its_way.receive_to_end().empty());
  Peer late = proxy.connect();
  late.send(cancel_request(77, "abcd"));
  CHECK(late.receive_to_end().empty());
  CHECK_FALSE(proxy.a.somebody_waits());
  CHECK_FALSE(proxy.b.somebody_waits());
}

TEST_CASE("a cancel request for a server that is gone is closed") {
  ProxyUnderTest proxy;
  proxy.route_to_a(1);
  auto session = proxy.establish(proxy.a, 77, "abcd");
  proxy.a.close();
  Peer cancel = proxy.connect();
  cancel.send(cancel_request(77, "abcd"));
  CHECK(cancel.receive_to_end().empty());
}
