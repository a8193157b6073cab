// Who is let in, at what pace, how long a login may take, and how everybody is sent home at a shutdown.
#include <algorithm>
#include <memory>
#include <string>
#include <vector>

#include <doctest/doctest.h>

#include "tests/protocol/login_steps.h"

using namespace pgkeel;
using namespace pgkeel::test;
using namespace pgkeel::wire_test;
using namespace std::chrono_literals;

namespace {

ProxyUnderTest::Options with(ProxyConfig proxy) {
  proxy.workers = 2;
  return {.proxy = proxy};
}

// Messages have zeros, behind which a failed check would show nothing.
std::string printed(std::string bytes) {
  std::ranges::replace(bytes, '\0', '.');
  return bytes;
}

}  // namespace

TEST_CASE("too many clients get 53300, and a cancel request is still heard") {
  ProxyUnderTest proxy(with({.max_client_connections = 1}));
  proxy.route_to_a(1);
  auto session = proxy.establish(proxy.a, 5, "five");
  Peer client = begin_login(proxy);
  const auto error = last_error(client.receive_to_end());
  CHECK(error.field('C') == "53300");
  Peer cancel = proxy.connect();
  cancel.send(cancel_request(5, "five"));
  Peer heard = proxy.a.accept();
  CHECK(heard.receive(16) == cancel_request(5, "five"));
  session.client.close();
  session.server.receive_to_end();
  session.server.close();
  REQUIRE(wait_until([&] { return proxy.stats().established == 0; }));
  proxy.establish(proxy.a);
}

TEST_CASE("a client from a network that is not allowed gets 28000") {
  ProxyUnderTest proxy({.proxy = {.workers = 1}, .allow = {"10.0.0.0/8"}});
  proxy.route_to_a(1);
  Peer client = proxy.connect();
  client.send(ssl_request());
  CHECK(client.receive(1) == "N");
  client.send(startup_message());
  const auto error = last_error(client.receive_to_end());
  CHECK(error.field('C') == "28000");
  CHECK(error.field('M').find("127.0.0.1") != std::string::npos);
}

TEST_CASE("a client that says nothing within login_timeout is closed") {
  ProxyUnderTest proxy(with({.login_timeout = 50ms}));
  Peer silent = proxy.connect();
  CHECK(silent.receive_to_end().empty());
  Peer slow = proxy.connect();
  slow.send(startup_message().substr(0, 6));
  CHECK(slow.receive_to_end().empty());
}

TEST_CASE("a client that does not answer a challenge within login_timeout gets 08001") {
  ProxyUnderTest proxy(with({.login_timeout = 50ms}));
  proxy.route_to_a(1);
  Peer client = begin_login(proxy);
  Peer server = accept_startup(proxy.a);
  server.send(authentication(3));
  CHECK(client.receive_message() == authentication(3));
  CHECK(last_error(client.receive_to_end()).field('C') == "08001");
  CHECK(server.receive_to_end().empty());
}

TEST_CASE("the time of holding does not count against login_timeout") {
  ProxyUnderTest proxy(with({.login_timeout = 50ms, .hold_timeout = 200ms}));
  Peer client = begin_login(proxy);
  const Instant began = monotonic_now();
  CHECK(last_error(client.receive_to_end()).field('M').find("hold_timeout") != std::string::npos);
  CHECK(monotonic_now() - began >= 150ms);
}

TEST_CASE("after a failover logins pass at login_rate, in the order of arrival, however long it takes") {
  // The time until they are all here counts.
  ProxyUnderTest proxy(with({.hold_timeout = 5s, .login_rate = 10}));
  proxy.route_to_a(1);
  proxy.route_nowhere(2);  // the epoch of the failover; the new primary is published with the same
  constexpr std::size_t kClients = 60;
  std::vector<Peer> clients;
  for (std::size_t client = 0; client < kClients; ++client) {
    clients.push_back(proxy.connect());
    clients.back().send(startup_message(0, "client" + std::to_string(client)));
    wait_until_held(proxy, client + 1);
  }
  const Instant released = monotonic_now();
  proxy.route_to_b(2);
  std::vector<Peer> servers;
  for (std::size_t client = 0; client < kClients; ++client) {
    servers.push_back(proxy.b.accept());
    const std::string expected = startup_message(0, "client" + std::to_string(client));
    CHECK(printed(servers.back().receive(expected.size())) == printed(expected));
    servers.back().send(login_answer());
  }
  // 60 at 10 a second take longer than hold_timeout: the time in the queue does not count against it.
  CHECK(monotonic_now() - released > 5800ms);
  for (auto& client : clients) CHECK(printed(client.receive(login_answer().size())) == printed(login_answer()));
}

TEST_CASE("without a failover logins are not slowed down") {
  ProxyUnderTest proxy(with({.login_rate = 1}));
  proxy.route_to_a(1);
  std::vector<ProxyUnderTest::Established> sessions;
  for (int session = 0; session < 20; ++session) sessions.push_back(proxy.establish(proxy.a));
  CHECK(proxy.stats().logins == 20);
}

TEST_CASE("with no_route = refuse the listener is closed while there is no route") {
  ProxyUnderTest proxy(with({.no_route = NoRoutePolicy::kRefuse}));
  CHECK_FALSE(Peer::can_connect_to(proxy.port()));
  for (std::uint64_t round = 0; round < 3; ++round) {
    proxy.route_to_a(2 * round + 1);
    proxy.establish(proxy.a);
    proxy.route_nowhere(2 * round + 2);
    CHECK_FALSE(Peer::can_connect_to(proxy.port()));
  }
}

TEST_CASE("at a shutdown held clients get 08001, those too that have said nothing yet, and nobody is let in any more") {
  ProxyUnderTest proxy;
  Peer silent = proxy.connect();
  Peer half = proxy.connect();
  half.send(startup_message().substr(0, 9));
  Peer client = begin_login(proxy);
  wait_until_held(proxy, 1);
  proxy.stop_later(30s, [] {});
  const auto error = last_error(client.receive_to_end());
  CHECK(error.field('C') == "08001");
  CHECK(error.field('M').find("shutting down") != std::string::npos);
  CHECK(last_error(silent.receive_to_end()).field('C') == "08001");
  CHECK(last_error(half.receive_to_end()).field('C') == "08001");
  CHECK_FALSE(Peer::can_connect_to(proxy.port()));
}

TEST_CASE("a shutdown ends when the last client has gone, or at its limit") {
  ProxyUnderTest patient;
  patient.route_to_a(1);
  auto session = patient.establish(patient.a);
  session.client.close();
  patient.stop(30s);
  ProxyUnderTest impatient;
  impatient.route_to_a(1);
  auto lazy = impatient.establish(impatient.a);
  impatient.stop(20ms);
  CHECK(last_error(lazy.client.receive_to_end()).field('C') == "57P01");
}

TEST_CASE("where no place is left, a client that does not prove who it is makes room, and one that did does not") {
  ProxyUnderTest proxy({.proxy = {.workers = 1, .max_client_connections = 2}});
  proxy.route_to_a(1);
  Challenged proven(proxy);
  proven.client.send(password("secret"));
  REQUIRE(proven.server.receive_message() == password("secret"));
  Challenged silent(proxy);
  // It has its time.
  Peer early = begin_login(proxy);
  CHECK(last_error(early.receive_to_end()).field('C') == "53300");
  CHECK_FALSE(silent.client.has_something_to_read());
  Peer client;
  REQUIRE(wait_until([&] {
    client = begin_login(proxy);
    return wait_until([&] { return client.has_something_to_read() || proxy.a.somebody_waits(); }) &&
           proxy.a.somebody_waits();
  }));
  Peer server = accept_startup(proxy.a);
  server.send(login_answer());
  CHECK(client.receive(login_answer().size()) == login_answer());
  const auto error = last_error(silent.client.receive_to_end());
  CHECK(error.field('C') == "08001");
  CHECK(error.field('M').find("others wait for its place") != std::string::npos);
  CHECK_FALSE(proven.client.has_something_to_read());
}

TEST_CASE("clients that do not prove who they are have a part of the places, and the longest silent goes") {
  ProxyUnderTest proxy({.proxy = {.workers = 1, .max_client_connections = 250}});
  proxy.route_to_a(1);
  std::vector<std::unique_ptr<Challenged>> silent;
  for (int i = 0; i < 64; ++i) silent.push_back(std::make_unique<Challenged>(proxy));
  REQUIRE(wait_until([&] {
    silent.push_back(std::make_unique<Challenged>(proxy));
    return silent.size() == 240 || silent.front()->client.has_something_to_read();
  }));
  CHECK(last_error(silent.front()->client.receive_to_end()).field('C') == "08001");
  CHECK_FALSE(silent.back()->client.has_something_to_read());
}

TEST_CASE("where the server has no place left, a client that does not prove who it is makes room") {
  ProxyUnderTest proxy({.proxy = {.workers = 1}});
  proxy.route_to_a(1);
  Challenged silent(proxy);
  REQUIRE(wait_until([&] {
    Peer client = begin_login(proxy);
    Peer server = accept_startup(proxy.a);
    server.send(report('E', "FATAL", "53300", "sorry, too many clients already"));
    server.close();
    CHECK(last_error(client.receive_to_end()).field('C') == "53300");
    return silent.client.has_something_to_read();
  }));
  CHECK(last_error(silent.client.receive_to_end()).field('C') == "08001");
}
