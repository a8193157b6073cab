// A pgkeel among several may write to servers until a deadline, and writes nothing past it.
#include <chrono>

#include <doctest/doctest.h>

#include "proxy/io/clock.h"
#include "tests/protocol/login_steps.h"

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

TEST_CASE(
    "past the deadline a server that is lost with bytes of its client in the way is not heard, and one error is said") {
  ProxyUnderTest proxy;
  proxy.route_to_a(1);
  auto session = proxy.establish(proxy.a);
  std::string copy = query("copy t from stdin");
  while (copy.size() < (64U << 20)) copy += message('d', std::string(8000, 'c'));
  send_until_blocked(proxy, session.client, copy);
  proxy.set_write_deadline(Instant{since_boot()});
  session.server.reset();  // its link is readable and writable at once
  const auto error = last_error(session.client.receive_to_end());
  CHECK(error.field('C') == "57P01");
  CHECK(error.field('M').find("has not renewed its lease") != std::string::npos);
  CHECK(!session.client.ended_by_reset());
  session.client.close();
  CHECK(wait_until([&] { return proxy.stats().open == 0; }));
  proxy.in_control_thread([] {});  // what is reported is there
  CHECK(!proxy.has_evidence(LinkEvidence::Kind::kBroken, "a"));
  CHECK(proxy.stats().errors_by_sqlstate.at("57P01") == 1);
  CHECK(proxy.stats().ended_busy == 1);
}

TEST_CASE("a pgkeel among several that is ended takes back what the kernel has not sent to a server yet") {
  ProxyUnderTest proxy;
  proxy.route_to_a(1);
  auto session = proxy.establish(proxy.a);
  proxy.set_write_deadline(Instant{since_boot()} + 1h);
  std::string copy = query("copy t from stdin");
  while (copy.size() < (64U << 20)) copy += message('d', std::string(8000, 'c'));
  send_until_blocked(proxy, session.client, copy);
  proxy.stop_later(10s, [] {});
  CHECK(last_error(session.client.receive_to_end()).field('C') == "57P01");
  session.server.receive_to_end();
  CHECK(session.server.ended_by_reset());
}

TEST_CASE("a login past the deadline is held, and goes on when the deadline has moved") {
  ProxyUnderTest proxy;
  proxy.route_to_a(1);
  proxy.set_write_deadline(Instant{since_boot()});
  Peer client = proxy.connect();
  client.send(startup_message());
  CHECK(proxy.a.accept().receive_to_end().empty());
  CHECK_FALSE(client.has_something_to_read());
  proxy.set_write_deadline(Instant{since_boot()} + 1h);
  Peer server;
  std::string heard;
  // An attempt may have failed just before.
  REQUIRE(wait_until([&] {
    server = proxy.a.accept();
    heard = server.receive(startup_message().size());
    return !heard.empty();
  }));
  CHECK(heard == startup_message());
  server.send(login_answer());
  CHECK(client.receive(login_answer().size()) == login_answer());
}

TEST_CASE("a login that cannot be repeated past the deadline ends with 08001") {
  ProxyUnderTest proxy;
  proxy.route_to_a(1);
  auto [client, server] = Challenged(proxy);
  proxy.set_write_deadline(Instant{since_boot()});
  client.send(password("secret"));
  CHECK(last_error(client.receive_to_end()).field('C') == "08001");
  CHECK(server.receive_to_end().empty());
}
