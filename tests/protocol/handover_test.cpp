// Another process takes over: connections go on there, in whatever state they are, and their clients notice nothing.
#include <string>
#include <vector>

#include "tests/protocol/tls_clients.h"

using namespace pgkeel;
using namespace pgkeel::test;
using namespace pgkeel::wire_test;

namespace {

constexpr std::uint32_t kProcess = 4711;
const std::string kSecret = "\1\2\3\4";

// A statement and its answer, through whoever has the session now.
void check_works(ProxyUnderTest::Established& session, char status = 'I') {
  session.client.send(query("select 1"));
  CHECK(session.server.receive(query("select 1").size()) == query("select 1"));
  const std::string answer = command_complete("SELECT 1") + ready_for_query(status);
  session.server.send(answer);
  CHECK(session.client.receive(answer.size()) == answer);
}

std::string detail_at_the_end(ProxyUnderTest::Established& session) {
  const auto error = last_error(session.client.receive_to_end());
  CHECK(error.field('C') == "57P01");
  return std::string(error.field('D'));
}

}  // namespace

TEST_CASE("sessions go along in every state between two messages, and what is known of them does") {
  ProxyUnderTest proxy;
  proxy.route_to_a(1);
  auto idle = proxy.establish(proxy.a);
  auto in_transaction = proxy.establish(proxy.a, 4712);
  check_works(in_transaction, 'T');
  auto busy = proxy.establish(proxy.a, 4713);
  busy.client.send(query("select 1"));
  REQUIRE(busy.server.receive(query("select 1").size()) == query("select 1"));
  proxy.hand_over();
  CHECK(wait_until([&] { return proxy.stats().taken_over == 3; }));
  CHECK(proxy.stats().established == 3);
  CHECK(proxy.former_stats().established == 0);

  check_works(idle);
  const std::string answer = command_complete("SELECT 1") + ready_for_query('I');
  busy.server.send(answer);
  CHECK(busy.client.receive(answer.size()) == answer);
  proxy.route_nowhere(2);
  CHECK(detail_at_the_end(idle) == "No transaction was open.");
  CHECK(detail_at_the_end(busy) == "No transaction was open.");
  CHECK(detail_at_the_end(in_transaction) == "The open transaction was rolled back.");
}

TEST_CASE("sessions of the read-only endpoint go along to that endpoint, with the role of their node and its cancels") {
  ProxyUnderTest proxy({.proxy = {.workers = 2}, .read_only = true});
  proxy.route_to_a(1);
  Route reads{.epoch = 1,
              .target = std::nullopt,
              .reason = "a is the primary",
              .readers = {proxy.reader("b", ProxyUnderTest::As::kStandby)}};
  proxy.publish_read_only(reads);
  const std::string answer = login_answer(kProcess, kSecret, "on");
  Peer client = proxy.connect_read_only();
  client.send(startup_message());
  Peer server = proxy.b.accept();
  REQUIRE(server.receive(startup_message().size()) == startup_message());
  server.send(answer);
  REQUIRE(client.receive(answer.size()) == answer);
  ProxyUnderTest::Established session{std::move(client), std::move(server)};

  const std::uint16_t port = proxy.read_only_port();
  proxy.hand_over();
  CHECK(proxy.read_only_port() == port);
  REQUIRE(wait_until([&] { return proxy.read_only_stats().sessions.taken_over == 1; }));
  CHECK(proxy.stats().taken_over == 0);
  CHECK(proxy.read_only_stats().by_node.at("b") == 1);
  check_works(session);
  Peer cancel = proxy.connect_read_only();
  cancel.send(cancel_request(kProcess, kSecret));
  CHECK(proxy.b.accept().receive(16) == cancel_request(kProcess, kSecret));
  session.server.send(parameter_status("in_hot_standby", "off"));
  CHECK(detail_at_the_end(session) == "No transaction was open.");
}

TEST_CASE("doors that were closed when a handover began are open behind it, whichever process goes on") {
  for (const bool it_fails : {false, true}) {
    for (const AtTheDoor newcomers : {AtTheDoor::kUnanswered, AtTheDoor::kWaits, AtTheDoor::kRefused}) {
      CAPTURE(it_fails);
      ProxyUnderTest proxy;
      proxy.route_to_a(1);
      proxy.close_doors(newcomers);
      if (it_fails)
        proxy.take_back();
      else
        proxy.hand_over();
      proxy.in_control_thread([] {});
      REQUIRE(wait_until([&] { return Peer::can_connect_to(proxy.port()); }));
      proxy.establish(proxy.a);
    }
  }
}

TEST_CASE("what was under way when it went is unknown where it ends before the answer") {
  ProxyUnderTest proxy;
  proxy.route_to_a(1);
  auto busy = proxy.establish(proxy.a);
  busy.client.send(query("commit"));
  REQUIRE(busy.server.receive(query("commit").size()) == query("commit"));
  proxy.hand_over();
  REQUIRE(wait_until([&] { return proxy.stats().taken_over == 1; }));
  proxy.route_nowhere(2);
  CHECK(detail_at_the_end(busy).find("unknown") != std::string::npos);
  CHECK(proxy.stats().ended_in_commit == 1);
}

TEST_CASE("a session inside a message stays to its end, then follows") {
  ProxyUnderTest proxy;
  proxy.route_to_a(1);
  auto session = proxy.establish(proxy.a);
  const std::string statement = query("select 1");
  session.client.send(statement.substr(0, 3));
  REQUIRE(wait_until([&] { return proxy.stats().bytes_from_clients >= startup_message().size() + 3; }));
  proxy.hand_over();
  CHECK(proxy.former_stats().established == 1);
  session.client.send(statement.substr(3));
  CHECK(session.server.receive(statement.size()) == statement);
  CHECK(wait_until([&] { return proxy.stats().taken_over == 1; }));
  const std::string answer = command_complete("SELECT 1") + ready_for_query('I');
  session.server.send(answer);
  CHECK(session.client.receive(answer.size()) == answer);
  check_works(session);
}

TEST_CASE("one that follows when the route has changed ends with 57P01") {
  ProxyUnderTest proxy;
  proxy.route_to_a(1);
  auto session = proxy.establish(proxy.a);
  session.client.send(query("select 1").substr(0, 3));
  REQUIRE(wait_until([&] { return proxy.stats().bytes_from_clients >= startup_message().size() + 3; }));
  proxy.hand_over();
  proxy.publish_to_former({.epoch = 2, .target = std::nullopt, .reason = "a failed"});
  CHECK(detail_at_the_end(session) == "No transaction was open.");
  CHECK(session.server.receive_to_end().empty());
}

TEST_CASE("connections that have not logged in go along: silent ones, half a startup packet, those that are held") {
  ProxyUnderTest proxy;
  Peer silent = proxy.connect();
  Peer half = proxy.connect();
  half.send(startup_message().substr(0, 9));
  Peer declined = proxy.connect();
  declined.send(ssl_request());
  REQUIRE(declined.receive(1) == "N");
  Peer held = proxy.connect();
  held.send(startup_message());
  REQUIRE(wait_until([&] { return proxy.stats().held == 1 && proxy.stats().open == 4; }));
  proxy.hand_over();
  silent.send(startup_message());
  half.send(startup_message().substr(9));
  declined.send(startup_message());
  proxy.route_to_a(1);
  std::vector<Peer> servers;
  while (servers.size() < 4) {
    servers.push_back(proxy.a.accept());
    CHECK(servers.back().receive(startup_message().size()) == startup_message());
    servers.back().send(login_answer());
  }
  for (Peer* client : {&silent, &half, &declined, &held})
    CHECK(client->receive(login_answer().size()) == login_answer());
}

TEST_CASE("a login is repeated by the process that takes over, or ends where it began and then follows") {
  ProxyUnderTest proxy;
  proxy.route_to_a(1);
  Peer early = proxy.connect();
  early.send(startup_message());
  Peer first_attempt = proxy.a.accept();
  REQUIRE(first_attempt.receive(startup_message().size()) == startup_message());
  Peer late = proxy.connect();
  late.send(startup_message());
  Peer challenging = proxy.a.accept();
  challenging.receive(startup_message().size());
  const std::string challenge = authentication(5, "salt");
  challenging.send(challenge);
  REQUIRE(late.receive(challenge.size()) == challenge);
  proxy.hand_over();
  CHECK(first_attempt.receive_to_end().empty());
  Peer second_attempt = proxy.a.accept();
  CHECK(second_attempt.receive(startup_message().size()) == startup_message());
  second_attempt.send(login_answer());
  CHECK(early.receive(login_answer().size()) == login_answer());

  late.send(password("secret"));
  CHECK(challenging.receive(password("secret").size()) == password("secret"));
  challenging.send(login_answer());
  CHECK(late.receive(login_answer().size()) == login_answer());
  CHECK(wait_until([&] { return proxy.stats().taken_over == 1; }));
  ProxyUnderTest::Established followed{std::move(late), std::move(challenging)};
  check_works(followed);
}

TEST_CASE("a TLS session stays, and ends behind its next transaction; its cancel key is known to the other process") {
  ProxyUnderTest proxy(with_tls(ClientTlsMode::kAllow));
  proxy.route_to_a(1);
  TlsPeer idle = encrypted(proxy);
  Peer server = log_in(proxy, idle);
  proxy.hand_over();
  CHECK(proxy.former_stats().established == 1);
  Peer cancel = proxy.connect();
  cancel.send(cancel_request(kProcess, kSecret));
  CHECK(proxy.a.accept().receive(16) == cancel_request(kProcess, kSecret));

  idle.send(query("begin"));
  REQUIRE(server.receive(query("begin").size()) == query("begin"));
  const std::string begun = command_complete("BEGIN") + ready_for_query('T');
  server.send(begun);
  CHECK(idle.receive(begun.size()) == begun);
  idle.send(query("commit"));
  REQUIRE(server.receive(query("commit").size()) == query("commit"));
  const std::string committed = command_complete("COMMIT") + ready_for_query('I');
  server.send(committed);
  CHECK(idle.receive(committed.size()) == committed);
  const auto error = last_error(idle.receive_to_end());
  CHECK(error.field('C') == "57P01");
  CHECK(error.field('M').find("restarted") != std::string::npos);
  CHECK(error.field('D') == "No transaction was open.");
}
