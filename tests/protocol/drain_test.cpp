// A route that drains, before a planned change of the primary: whoever is in a transaction goes on to its end, nobody
// begins another one, and whoever connects is held.
#include <string>
#include <thread>

#include <doctest/doctest.h>

#include "tests/protocol/login_steps.h"

using namespace pgkeel;
using namespace pgkeel::test;
using namespace pgkeel::wire_test;
using namespace std::chrono_literals;

namespace {

const std::string kMd5Challenge = authentication(5, "salt");
const std::string kNotification = message('A', "\0\0\0\1channel\0\0"sv);

bool has_drained(const ProxyUnderTest& proxy) {
  return wait_until([&] { return proxy.times_drained() == 1; });
}

// It has no transaction open, and is not read.
void check_held(ProxyUnderTest::Established& session, ProxyUnderTest& proxy) {
  const auto read_before = proxy.bytes_read();
  session.client.send(query("insert"));
  session.server.send(kNotification);
  CHECK(session.client.receive(kNotification.size()) == kNotification);
  CHECK(proxy.bytes_read() == read_before + kNotification.size());
  CHECK_FALSE(session.server.has_something_to_read());
}

}  // namespace

TEST_CASE("without a session a route has drained at once") {
  ProxyUnderTest proxy;
  proxy.route_to_a(1);
  proxy.drain_a(1);
  CHECK(has_drained(proxy));
}

TEST_CASE("an idle session is held, hears what the server says, and at the end one 57P01: no transaction was open") {
  ProxyUnderTest proxy;
  proxy.route_to_a(1);
  auto session = proxy.establish(proxy.a);
  proxy.drain_a(1);
  REQUIRE(has_drained(proxy));
  check_held(session, proxy);
  proxy.route_nowhere(2, "a switchover from a to b is under way");
  const auto error = last_error(session.client.receive_message());
  CHECK(error.field('C') == "57P01");
  CHECK(error.field('M').find("switchover from a to b") != std::string::npos);
  CHECK(error.field('D') == "No transaction was open.");
  CHECK(session.client.receive_to_end().empty());
  CHECK_FALSE(session.client.ended_by_reset());
  CHECK(proxy.stats().ended_idle == 1);
}

TEST_CASE("an open transaction goes on to its end, and the route has drained when the last one is over") {
  ProxyUnderTest proxy;
  proxy.route_to_a(1);
  auto first = proxy.establish(proxy.a, 1);
  auto second = proxy.establish(proxy.a, 2);
  for (auto* session : {&first, &second}) {
    session->client.send(query("begin"));
    CHECK(session->server.receive(query("begin").size()) == query("begin"));
    session->server.send(ready_for_query('T'));
    CHECK(session->client.receive(ready_for_query('T').size()) == ready_for_query('T'));
  }
  proxy.drain_a(1);
  CHECK(proxy.stats().drain_awaits == 2);
  for (auto* session : {&first, &second}) {
    CHECK(proxy.times_drained() == 0);
    session->client.send(query("insert"));
    CHECK(session->server.receive(query("insert").size()) == query("insert"));
    session->server.send(ready_for_query('T'));
    CHECK(session->client.receive(ready_for_query('T').size()) == ready_for_query('T'));
    session->client.send(query("commit"));
    CHECK(session->server.receive(query("commit").size()) == query("commit"));
    CHECK(proxy.times_drained() == 0);
    session->server.send(ready_for_query('I'));
    CHECK(session->client.receive(ready_for_query('I').size()) == ready_for_query('I'));
  }
  REQUIRE(has_drained(proxy));
  CHECK(proxy.stats().drain_awaits == 0);
  check_held(first, proxy);
  check_held(second, proxy);
}

TEST_CASE("a session that goes away in its transaction is waited for no longer") {
  ProxyUnderTest proxy;
  proxy.route_to_a(1);
  auto by_client = proxy.establish(proxy.a, 1);
  auto by_server = proxy.establish(proxy.a, 2);
  for (auto* session : {&by_client, &by_server}) {
    session->client.send(query("begin"));
    CHECK(session->server.receive(query("begin").size()) == query("begin"));
  }
  proxy.drain_a(1);
  CHECK(proxy.stats().drain_awaits == 2);
  by_client.client.reset();
  by_server.server.close();
  CHECK(has_drained(proxy));
}

TEST_CASE("whoever is in a transaction when the time is over gets 57P01 with what became of it") {
  ProxyUnderTest proxy;
  proxy.route_to_a(1);
  auto session = proxy.establish(proxy.a);
  session.client.send(query("begin"));
  CHECK(session.server.receive(query("begin").size()) == query("begin"));
  session.server.send(ready_for_query('T'));
  CHECK(session.client.receive(ready_for_query('T').size()) == ready_for_query('T'));
  proxy.drain_a(1);
  proxy.route_nowhere(2);
  const auto error = last_error(session.client.receive_message());
  CHECK(error.field('C') == "57P01");
  CHECK(error.field('D') == "The open transaction was rolled back.");
  CHECK(proxy.times_drained() == 0);
}

TEST_CASE("where it is given up everybody goes on as if nothing had been") {
  ProxyUnderTest proxy;
  proxy.route_to_a(1);
  auto session = proxy.establish(proxy.a);
  proxy.drain_a(1);
  REQUIRE(has_drained(proxy));
  session.client.send(query("select 1"));
  Peer newcomer = begin_login(proxy);
  REQUIRE(wait_until([&] { return proxy.stats().held == 1; }));
  proxy.route_to_a(1);
  CHECK(session.server.receive(query("select 1").size()) == query("select 1"));
  session.server.send(ready_for_query('I'));
  CHECK(session.client.receive(ready_for_query('I').size()) == ready_for_query('I'));
  Peer server = proxy.a.accept();
  server.receive(startup_message().size());
  server.send(login_answer());
  CHECK(newcomer.receive(login_answer().size()) == login_answer());
}

TEST_CASE(
    "a client that connects while the route drains is held without losing its time, and goes to the next primary") {
  ProxyUnderTest proxy({.proxy = {.workers = 2, .hold_timeout = 100ms}});
  proxy.route_to_a(1);
  proxy.drain_a(1);
  Peer client = begin_login(proxy);
  REQUIRE(wait_until([&] { return proxy.stats().held == 1; }));
  std::this_thread::sleep_for(300ms);  // three times what it would be held without a route
  CHECK_FALSE(client.has_something_to_read());
  proxy.route_to_b(2);
  Peer server = proxy.b.accept();
  server.receive(startup_message().size());
  server.send(login_answer());
  CHECK(client.receive(login_answer().size()) == login_answer());
}

TEST_CASE("a login that can be repeated is taken back, and one that cannot is waited for until it is idle") {
  ProxyUnderTest proxy;
  proxy.route_to_a(1);
  Peer repeatable = begin_login(proxy);
  Peer silent_server = proxy.a.accept();
  silent_server.receive(startup_message().size());
  Peer challenged = begin_login(proxy);
  Peer server = proxy.a.accept();
  server.receive(startup_message().size());
  server.send(kMd5Challenge);
  CHECK(challenged.receive(kMd5Challenge.size()) == kMd5Challenge);
  proxy.drain_a(1);
  CHECK(silent_server.receive_to_end().empty());
  REQUIRE(wait_until([&] { return proxy.stats().held == 1; }));
  CHECK(proxy.times_drained() == 0);
  challenged.send(password("secret"));
  server.receive(password("secret").size());
  server.send(login_answer());
  CHECK(challenged.receive(login_answer().size()) == login_answer());
  CHECK(has_drained(proxy));
}

TEST_CASE("a planned moment without a route holds clients also where no_route says refuse") {
  ProxyUnderTest proxy({.proxy = {.workers = 2, .no_route = NoRoutePolicy::kRefuse}});
  proxy.route_to_a(1);
  proxy.publish({.epoch = 2, .target = std::nullopt, .mode = RouteMode::kMoving, .reason = "a switchover"});
  Peer client = begin_login(proxy);
  REQUIRE(wait_until([&] { return proxy.stats().held == 1; }));
  proxy.route_to_b(2);
  Peer server = proxy.b.accept();
  server.receive(startup_message().size());
  server.send(login_answer());
  CHECK(client.receive(login_answer().size()) == login_answer());
}
