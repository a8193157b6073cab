// A pgkeel among several may write to servers until a deadline, and writes nothing past it.
#include <chrono>

#include <doctest/doctest.h>

#include "proxy/io/clock.h"
#include "tests/protocol/proxy_under_test.h"

using namespace pgkeel;
using namespace pgkeel::test;
using namespace pgkeel::wire_test;
using namespace std::chrono_literals;

TEST_CASE("past the deadline no byte of a client reaches its server, and the client is told 57P01") {
  ProxyUnderTest proxy;
  proxy.route_to_a(1);
  auto session = proxy.establish(proxy.a);
  proxy.set_write_deadline(Instant{since_boot()} + 1h);
  session.client.send(query("SELECT 1"));
  CHECK(session.server.receive(query("SELECT 1").size()) == query("SELECT 1"));
  const std::string answer = command_complete("SELECT 1") + ready_for_query('I');
  session.server.send(answer);
  CHECK(session.client.receive(answer.size()) == answer);
  proxy.set_write_deadline(Instant{since_boot()});
  session.client.send(query("INSERT INTO t VALUES (1)"));
  CHECK(last_error(session.client.receive_to_end()).field('C') == "57P01");
  CHECK(session.server.receive_to_end().find("INSERT") == std::string::npos);
}

TEST_CASE("what a server says passes also past the deadline") {
  ProxyUnderTest proxy;
  proxy.route_to_a(1);
  auto session = proxy.establish(proxy.a);
  session.client.send(query("SELECT 1"));
  CHECK(session.server.receive(query("SELECT 1").size()) == query("SELECT 1"));
  proxy.set_write_deadline(Instant{since_boot()});
  const std::string answer = command_complete("SELECT 1") + ready_for_query('I');
  session.server.send(answer);
  CHECK(session.client.receive(answer.size()) == answer);
}
