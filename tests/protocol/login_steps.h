// The steps of a login through an access point, for the tests of it.
#pragma once

#include <string>

#include <doctest/doctest.h>

#include "tests/protocol/proxy_under_test.h"

namespace pgkeel::test {

inline Peer begin_login(const ProxyUnderTest& proxy) {
  Peer client = proxy.connect();
  client.send(wire_test::startup_message());
  return client;
}

inline void wait_until_held(const ProxyUnderTest& proxy, std::uint64_t clients) {
  REQUIRE(wait_until([&] { return proxy.stats().held == clients; }));
}

inline Peer accept_startup(PeerListener& listener) {
  Peer server = listener.accept();
  const std::string startup = server.receive(wire_test::startup_message().size());
  REQUIRE(startup == wire_test::startup_message());
  return server;
}

// A client that its server, `a`, has asked for a password.
struct Challenged {
  explicit Challenged(ProxyUnderTest& proxy) : client(begin_login(proxy)), server(accept_startup(proxy.a)) {
    server.send(wire_test::authentication(3));
    REQUIRE(client.receive_message() == wire_test::authentication(3));
  }
  Peer client;
  Peer server;
};

}  // namespace pgkeel::test
