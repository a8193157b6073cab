// The read-only endpoint: where its sessions are led, and how they end.
#include <algorithm>
#include <future>
#include <string>
#include <vector>

#include <doctest/doctest.h>

#include "tests/protocol/proxy_under_test.h"

using namespace pgkeel;
using namespace pgkeel::test;
using namespace pgkeel::wire_test;
using namespace std::chrono_literals;

namespace {

using As = ProxyUnderTest::As;

ProxyUnderTest::Options read_only(ProxyConfig proxy = {.workers = 2}) {
  return {.proxy = proxy, .read_only = true};
}

const std::string kStandbyLogin = login_answer(4711, "\1\2\3\4"sv, "on");
const std::string kPrimaryLogin = login_answer(4711, "\1\2\3\4"sv, "off");

Peer begin_login(const ProxyUnderTest& proxy) {
  Peer client = proxy.connect_read_only();
  client.send(startup_message());
  return client;
}

Peer accept_login(PeerListener& listener, const std::string& answer) {
  Peer server = listener.accept();
  REQUIRE(server.receive(startup_message().size()) == startup_message());
  server.send(answer);
  return server;
}

ProxyUnderTest::Established establish(ProxyUnderTest& proxy, PeerListener& listener, const std::string& answer) {
  Peer client = begin_login(proxy);
  Peer server = accept_login(listener, answer);
  REQUIRE(client.receive(answer.size()) == answer);
  return {std::move(client), std::move(server)};
}

Route both_standbys(const ProxyUnderTest& proxy, std::uint64_t epoch = 1) {
  return {.epoch = epoch,
          .target = std::nullopt,
          .reason = "x is the primary",
          .readers = {proxy.reader("a", As::kStandby), proxy.reader("b", As::kStandby)}};
}

void check_ended(Peer& client, const std::string& cause, const std::string& detail) {
  const auto error = last_error(client.receive_to_end());
  CHECK(error.field('C') == "57P01");
  CHECK(error.field('M').find(cause) != std::string::npos);
  CHECK(error.field('D') == detail);
  CHECK(error.field('H').find("standby") != std::string::npos);
  CHECK_FALSE(client.ended_by_reset());
}

}  // namespace

TEST_CASE("sessions go to the node that has the fewest, and its turn comes where that is even") {
  ProxyUnderTest proxy(read_only());
  proxy.publish_read_only(both_standbys(proxy));
  std::vector<ProxyUnderTest::Established> sessions;
  std::size_t at_a = 0;
  for (int session = 0; session < 10; ++session) {
    Peer client = begin_login(proxy);
    REQUIRE(wait_until([&] { return proxy.a.somebody_waits() || proxy.b.somebody_waits(); }));
    const bool to_a = proxy.a.somebody_waits();
    if (to_a) ++at_a;
    Peer server = accept_login(to_a ? proxy.a : proxy.b, kStandbyLogin);
    REQUIRE(client.receive(kStandbyLogin.size()) == kStandbyLogin);
    sessions.push_back({std::move(client), std::move(server)});
  }
  CHECK(at_a == 5);
  CHECK(wait_until([&] { return proxy.read_only_stats().sessions.established == 10; }));
  CHECK(proxy.read_only_stats().by_node.at("a") == 5);
  CHECK(proxy.stats().established == 0);
  // Who leaves is counted no more.
  sessions.clear();
  REQUIRE(wait_until([&] { return proxy.read_only_stats().by_node.at("a") == 0; }));
  CHECK(wait_until([&] { return proxy.read_only_stats().by_node.at("b") == 0; }));
}

TEST_CASE("where no standby takes sessions the primary does, and those that are there stay when one does again") {
  ProxyUnderTest proxy(read_only());
  Route route{.epoch = 1, .target = std::nullopt, .reason = "a is the primary"};
  route.readers = {proxy.reader("a", As::kPrimary), proxy.reader("b", As::kStandby, false)};
  proxy.publish_read_only(route);
  auto at_primary = establish(proxy, proxy.a, kPrimaryLogin);
  route.readers = {proxy.reader("a", As::kPrimary), proxy.reader("b", As::kStandby)};
  proxy.publish_read_only(route);
  auto at_standby = establish(proxy, proxy.b, kStandbyLogin);
  at_primary.client.send(query("select 1"));
  CHECK(at_primary.server.receive(query("select 1").size()) == query("select 1"));
  // One that takes no new ones keeps those that are there.
  route.readers = {proxy.reader("a", As::kPrimary), proxy.reader("b", As::kStandby, false)};
  proxy.publish_read_only(route);
  at_standby.client.send(query("select 2"));
  CHECK(at_standby.server.receive(query("select 2").size()) == query("select 2"));
  establish(proxy, proxy.a, kPrimaryLogin);
}

TEST_CASE("sessions of a node that may not be read from any more end with the reason, those of others do not") {
  ProxyUnderTest proxy(read_only());
  proxy.publish_read_only(both_standbys(proxy));
  Peer first = begin_login(proxy);
  REQUIRE(wait_until([&] { return proxy.a.somebody_waits() || proxy.b.somebody_waits(); }));
  const bool first_at_a = proxy.a.somebody_waits();
  Peer first_server = accept_login(first_at_a ? proxy.a : proxy.b, kStandbyLogin);
  REQUIRE(first.receive(kStandbyLogin.size()) == kStandbyLogin);
  auto second = establish(proxy, first_at_a ? proxy.b : proxy.a, kStandbyLogin);
  const std::string gone = first_at_a ? "a" : "b";
  Route route = both_standbys(proxy);
  std::erase_if(route.readers, [&](const ReadTarget& reader) { return reader.server.node == gone; });
  route.why_not[gone] = gone + " is 7s behind (max_read_lag is 1s)";
  proxy.publish_read_only(route);
  check_ended(first, "terminating connection: " + gone + " is 7s behind", "No transaction was open.");
  CHECK(first_server.receive_to_end().empty());
  second.client.send(query("select 1"));
  CHECK(second.server.receive(query("select 1").size()) == query("select 1"));
}

TEST_CASE("a new epoch ends every session, also where its node stays a standby") {
  ProxyUnderTest proxy(read_only());
  Route route = both_standbys(proxy);
  route.readers.erase(route.readers.begin());
  proxy.publish_read_only(route);
  auto session = establish(proxy, proxy.b, kStandbyLogin);
  session.client.send(query("begin"));
  session.server.receive(query("begin").size());
  const std::string begun = command_complete("BEGIN") + ready_for_query('T');
  session.server.send(begun);
  REQUIRE(session.client.receive(begun.size()) == begun);
  route.epoch = 2;
  route.reason = "x failed: its postmaster died";
  proxy.publish_read_only(route);
  check_ended(session.client, "x failed", "The open transaction was rolled back.");
  establish(proxy, proxy.b, kStandbyLogin);
}

TEST_CASE("a standby that is promoted loses its sessions as soon as it says so") {
  ProxyUnderTest proxy(read_only());
  Route route = both_standbys(proxy);
  route.readers.erase(route.readers.begin());
  proxy.publish_read_only(route);
  auto session = establish(proxy, proxy.b, kStandbyLogin);
  session.server.send(parameter_status("in_hot_standby", "off"));
  check_ended(session.client, "server \"b\" is no standby any more", "No transaction was open.");
}

TEST_CASE("a node that says that it is no standby gets no session that was led to a standby; another one does") {
  ProxyUnderTest proxy(read_only());
  proxy.publish_read_only(both_standbys(proxy));
  Peer client = begin_login(proxy);
  REQUIRE(wait_until([&] { return proxy.a.somebody_waits() || proxy.b.somebody_waits(); }));
  const bool at_a = proxy.a.somebody_waits();
  Peer promoted = accept_login(at_a ? proxy.a : proxy.b, kPrimaryLogin);
  CHECK(promoted.receive_to_end() == terminate());
  Peer server = accept_login(at_a ? proxy.b : proxy.a, kStandbyLogin);
  CHECK(client.receive(kStandbyLogin.size()) == kStandbyLogin);
}

TEST_CASE("where a node refuses the connection the next one gets it, and the primary the last") {
  ProxyUnderTest proxy(read_only());
  Route route{.epoch = 1, .target = std::nullopt, .reason = "a is the primary"};
  route.readers = {proxy.reader("a", As::kPrimary), proxy.reader("b", As::kStandby)};
  proxy.publish_read_only(route);
  proxy.b.close();
  establish(proxy, proxy.a, kPrimaryLogin);
  CHECK(wait_until([&] { return proxy.has_evidence(LinkEvidence::Kind::kRefused, "b"); }));
}

TEST_CASE("while no node may be read from, clients are held, and after hold_timeout told why") {
  ProxyUnderTest proxy(read_only({.workers = 2, .hold_timeout = 300ms}));
  Route nowhere{.epoch = 1, .target = std::nullopt, .reason = "x failed: its postmaster died"};
  proxy.publish_read_only(nowhere);
  Peer held = begin_login(proxy);
  const auto error = last_error(held.receive_to_end());
  CHECK(error.field('C') == "08001");
  CHECK(error.field('M').find("no server for reads of cluster \"c\"") != std::string::npos);
  CHECK(error.field('M').find("x failed") != std::string::npos);
  Peer patient = begin_login(proxy);
  REQUIRE(wait_until([&] { return proxy.read_only_stats().sessions.held == 1; }));
  proxy.publish_read_only(both_standbys(proxy));
  REQUIRE(wait_until([&] { return proxy.a.somebody_waits() || proxy.b.somebody_waits(); }));
  Peer server = accept_login(proxy.a.somebody_waits() ? proxy.a : proxy.b, kStandbyLogin);
  CHECK(patient.receive(kStandbyLogin.size()) == kStandbyLogin);
}

TEST_CASE("with no_route = refuse the listener is closed while no node may be read from, and only that one") {
  ProxyUnderTest proxy(read_only({.workers = 2, .no_route = NoRoutePolicy::kRefuse}));
  const auto port = [&] { return proxy.read_only_port(); };
  proxy.route_to_a(1);
  proxy.publish_read_only({.epoch = 1, .target = std::nullopt, .reason = "none"});
  CHECK_FALSE(Peer::can_connect_to(port()));
  CHECK(Peer::can_connect_to(proxy.port()));
  proxy.publish_read_only(both_standbys(proxy));
  CHECK(Peer::can_connect_to(port()));
}

TEST_CASE("a cancel request of the read-only endpoint goes to the node of its session") {
  ProxyUnderTest proxy(read_only());
  Route route = both_standbys(proxy);
  route.readers.erase(route.readers.begin());
  proxy.publish_read_only(route);
  auto session = establish(proxy, proxy.b, kStandbyLogin);
  Peer cancel = proxy.connect_read_only();
  cancel.send(cancel_request(4711, "\1\2\3\4"));
  Peer forwarded = proxy.b.accept();
  CHECK(forwarded.receive(16) == cancel_request(4711, "\1\2\3\4"));
  // Of a key that is not known there, nothing is sent anywhere.
  Peer other = proxy.connect_read_only();
  other.send(cancel_request(4712, "\1\2\3\4"));
  CHECK(other.receive_to_end().empty());
}

namespace {

// A read-only endpoint where cancel requests wait for a judge.
struct Judged {
  std::vector<CancelAnswer> answers;  // control thread only
  ProxyUnderTest proxy{
      {.durability = Durability::kAvailable,
       .read_only = true,
       .cancel_judge = [this](const CancelQuestion&, const CancelAnswer& answer) { answers.push_back(answer); }}};

  // Of the session of establish().
  Peer begin_cancel() {
    const std::size_t before = asked();
    Peer cancel = proxy.connect_read_only();
    cancel.send(cancel_request(4711, "\1\2\3\4"));
    REQUIRE(wait_until([&] { return asked() == before + 1; }));
    return cancel;
  }
  std::size_t asked() {
    std::size_t count = 0;
    proxy.in_control_thread([&] { count = answers.size(); });
    return count;
  }
  void answer() {
    proxy.in_control_thread([&] { answers.back()(true); });
  }
};

Route only_b(const ProxyUnderTest& proxy) {
  Route route = both_standbys(proxy);
  route.readers.erase(route.readers.begin());
  return route;
}

}  // namespace

TEST_CASE("a change of other readers does not cost a session its cancel request") {
  Judged judged;
  judged.proxy.publish_read_only(only_b(judged.proxy));
  auto session = establish(judged.proxy, judged.proxy.b, kStandbyLogin);
  Peer cancel = judged.begin_cancel();
  SUBCASE("another one comes") {
    judged.proxy.publish_read_only(both_standbys(judged.proxy));
  }
  SUBCASE("its own takes no new sessions") {
    Route route = only_b(judged.proxy);
    route.readers.front().takes_new = false;
    judged.proxy.publish_read_only(route);
  }
  judged.answer();
  CHECK(judged.proxy.b.accept().receive(16) == cancel_request(4711, "\1\2\3\4"));
  CHECK(wait_until([&] { return judged.proxy.read_only_stats().sessions.cancels_forwarded == 1; }));
}

TEST_CASE("a cancel request for a node that is read from no more goes nowhere") {
  Judged judged;
  judged.proxy.publish_read_only(only_b(judged.proxy));
  auto session = establish(judged.proxy, judged.proxy.b, kStandbyLogin);
  Peer cancel = judged.begin_cancel();
  Route route = both_standbys(judged.proxy);
  route.readers.pop_back();
  judged.proxy.publish_read_only(route);
  CHECK(cancel.receive_to_end().empty());
  judged.answer();
  judged.proxy.publish_read_only(both_standbys(judged.proxy));  // comes to every worker behind the answer
  CHECK_FALSE(judged.proxy.b.somebody_waits());
}

TEST_CASE("a cancel request is dropped with its endpoint, and an answer that comes when that is back does nothing") {
  Judged judged;
  judged.proxy.publish_read_only(only_b(judged.proxy));
  auto session = establish(judged.proxy, judged.proxy.b, kStandbyLogin);
  Peer cancel = judged.begin_cancel();
  judged.proxy.configured.clusters[0].listen_read_only = {};
  REQUIRE(judged.proxy.reload() == "");
  judged.proxy.configured.clusters[0].listen_read_only = {"127.0.0.1", 0};
  REQUIRE(judged.proxy.reload() == "");
  judged.answer();
  CHECK(cancel.receive_to_end().empty());
  judged.proxy.publish_read_only(both_standbys(judged.proxy));
  CHECK_FALSE(judged.proxy.b.somebody_waits());
}

TEST_CASE("a drain holds sessions of the read-only endpoint between two transactions") {
  ProxyUnderTest proxy(read_only());
  Route route = both_standbys(proxy);
  route.readers.erase(route.readers.begin());
  proxy.publish_read_only(route);
  auto session = establish(proxy, proxy.b, kStandbyLogin);
  route.mode = RouteMode::kDraining;
  proxy.publish_read_only(route);
  REQUIRE(wait_until([&] { return proxy.times_drained() == 1; }));
  session.client.send(query("select 1"));
  route.mode = RouteMode::kNormal;
  proxy.publish_read_only(route);
  CHECK(session.server.receive(query("select 1").size()) == query("select 1"));
}

TEST_CASE("at the end of pgkeel sessions of the read-only endpoint are told, too") {
  ProxyUnderTest proxy(read_only());
  Route route = both_standbys(proxy);
  route.readers.erase(route.readers.begin());
  proxy.publish_read_only(route);
  auto session = establish(proxy, proxy.b, kStandbyLogin);
  std::promise<void> stopped;
  proxy.stop_later(10s, [&] { stopped.set_value(); });
  check_ended(session.client, "pgkeel is shutting down", "No transaction was open.");
  session.client.close();
  stopped.get_future().wait();
}
