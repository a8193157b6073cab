// The error that ends a session: where it may stand, what it says, and how the connection closes behind it.
#include <string>

#include <doctest/doctest.h>

#include "tests/protocol/proxy_under_test.h"

using namespace pgkeel;
using namespace pgkeel::test;
using namespace pgkeel::wire_test;
using namespace std::chrono_literals;

namespace {

constexpr std::string_view kNothingOpen = "No transaction was open.";
constexpr std::string_view kRolledBack = "The open transaction was rolled back.";
constexpr std::string_view kUnknown =
    "The outcome of the current statement or transaction is unknown: it may have been committed.";

// What the client and the server have said after the login, and what the client must hear of it and at the end.
struct Case {
  const char* name;
  std::string client_said;
  std::string server_said;
  std::string client_hears;  // before the error
  std::string_view detail;
};

const Case kCases[] = {
    {"idle", "", "", "", kNothingOpen},
    {"idle after a query", query("select 1"), command_complete("SELECT 1") + ready_for_query('I'),
     command_complete("SELECT 1") + ready_for_query('I'), kNothingOpen},
    {"in a transaction", query("begin"), ready_for_query('T'), ready_for_query('T'), kRolledBack},
    {"in a failed transaction", query("oops"), ready_for_query('E'), ready_for_query('E'), kRolledBack},
    {"waiting for a result", query("commit"), "", "", kUnknown},
    {"in a result", query("select 1"), data_row("1"), data_row("1"), kUnknown},
    {"in a result, a message has begun", query("select 1"), data_row("1") + data_row("2").substr(0, 9), data_row("1"),
     kUnknown},
    {"in a result, a header has begun", query("select 1"), data_row("1") + "D", data_row("1"), kUnknown},
    {"in COPY OUT", query("copy t to stdout"), message('H', "\0\0\0"sv) + message('d', "1\n"),
     message('H', "\0\0\0"sv) + message('d', "1\n"), kUnknown},
    {"in COPY IN", query("copy t from stdin") + message('d', "1\n"), message('G', "\0\0\0"sv), message('G', "\0\0\0"sv),
     kUnknown},
    {"in a pipeline", parse("select 1") + bind() + execute() + sync_message() + parse("select 2"), ready_for_query('I'),
     ready_for_query('I'), kUnknown},
};

void check_end(Peer& client, const Case& state, std::string_view cause) {
  CHECK(client.receive(state.client_hears.size()) == state.client_hears);
  // Also a client that goes on talking gets its error, and no reset.
  const std::string heard = client.receive_message();
  const auto error = last_error(heard);
  CHECK(error.field('C') == "57P01");
  CHECK(error.field('M').find(cause) != std::string::npos);
  CHECK(error.field('D') == state.detail);
  CHECK(error.field('H').find("same address") != std::string::npos);
  client.send(query("anybody there?"));
  CHECK(client.receive_to_end().empty());
  CHECK_FALSE(client.ended_by_reset());
}

// Both sides have said their part, and the proxy has read it.
ProxyUnderTest::Established play(ProxyUnderTest& proxy, const Case& state) {
  auto session = proxy.establish(proxy.a);
  session.client.send(state.client_said);
  CHECK(session.server.receive(state.client_said.size()) == state.client_said);
  const auto read_before = proxy.bytes_read();
  session.server.send(state.server_said);
  REQUIRE(wait_until([&] { return proxy.bytes_read() == read_before + state.server_said.size(); }));
  return session;
}

}  // namespace

TEST_CASE("a new epoch ends sessions with 57P01 in every state, and resets their links to the old server") {
  for (const Case& state : kCases) {
    CAPTURE(state.name);
    ProxyUnderTest proxy;
    proxy.route_to_a(1);
    auto session = play(proxy, state);
    proxy.route_to_b(2, "a failed: its postmaster died");
    session.server.receive_to_end();
    CHECK(session.server.ended_by_reset());
    check_end(session.client, state, "a failed: its postmaster died");
  }
}

TEST_CASE("a server that goes away without a word ends its sessions with 57P01 in every state") {
  for (const bool by_reset : {false, true}) {
    for (const Case& state : kCases) {
      CAPTURE(by_reset);
      CAPTURE(state.name);
      ProxyUnderTest proxy;
      proxy.route_to_a(1);
      auto session = play(proxy, state);
      if (by_reset)
        session.server.reset();
      else
        session.server.close();
      check_end(session.client, state, "server \"a\"");
      CHECK(wait_until([&] { return proxy.has_evidence(LinkEvidence::Kind::kBroken, "a"); }));
    }
  }
}

TEST_CASE("a shutdown of the proxy ends sessions with 57P01 in every state") {
  for (const Case& state : kCases) {
    CAPTURE(state.name);
    ProxyUnderTest proxy;
    proxy.route_to_a(1);
    auto session = play(proxy, state);
    proxy.stop_later(30s, [] {});
    check_end(session.client, state, "pgkeel is shutting down");
  }
}

TEST_CASE("a route to nowhere ends sessions too") {
  ProxyUnderTest proxy;
  proxy.route_to_a(1);
  auto session = proxy.establish(proxy.a);
  proxy.route_nowhere(2, "a does not answer");
  check_end(session.client, kCases[0], "a does not answer");
}

TEST_CASE("the same route again disturbs nobody") {
  ProxyUnderTest proxy;
  proxy.route_to_a(1);
  auto session = proxy.establish(proxy.a);
  proxy.route_to_a(1, "still the primary");
  session.client.send(query("select 1"));
  CHECK(session.server.receive(query("select 1").size()) == query("select 1"));
}

TEST_CASE("in a huge message that can't be completed the connection is closed without a word") {
  for (const bool new_epoch : {false, true}) {
    CAPTURE(new_epoch);
    ProxyUnderTest proxy;
    proxy.route_to_a(1);
    auto session = proxy.establish(proxy.a);
    session.client.send(query("select big"));
    session.server.receive(query("select big").size());
    const std::string part = data_row(std::string(100'000, 'x')).substr(0, 50'000);
    session.server.send(part);
    CHECK(session.client.receive(part.size()) == part);
    if (new_epoch)
      proxy.route_to_b(2);
    else
      session.server.close();
    CHECK(session.client.receive_to_end().empty());
    CHECK_FALSE(session.client.ended_by_reset());
    CHECK(proxy.stats().closed_without_error_at_unclean_boundary == 1);
    CHECK(proxy.stats().errors_by_sqlstate.empty());
  }
}

TEST_CASE("a huge message that is complete is a boundary like any other") {
  ProxyUnderTest proxy;
  proxy.route_to_a(1);
  auto session = proxy.establish(proxy.a);
  const std::string big = data_row(std::string(100'000, 'x'));
  session.server.send(big);
  CHECK(session.client.receive(big.size()) == big);
  session.server.close();
  CHECK(last_error(session.client.receive_to_end()).field('C') == "57P01");
}

TEST_CASE("the error waits its turn behind what the client has not taken yet") {
  ProxyUnderTest proxy;
  proxy.route_to_a(1);
  auto session = proxy.establish(proxy.a);
  session.client.shrink_buffers();
  std::string rows;
  while (rows.size() < 8'000'000) rows += data_row(std::string(1000, 'r'));
  const std::size_t sent = session.server.send_what_fits(rows);
  REQUIRE(sent > 0);
  proxy.route_to_b(2);
  const std::string heard = session.client.receive_to_end();
  CHECK_FALSE(session.client.ended_by_reset());
  const auto messages = split_messages(heard);
  CHECK(messages.size() > 1);
  for (std::size_t at = 0; at + 1 < messages.size(); ++at) REQUIRE(messages[at].type == 'D');
  CHECK(last_error(heard).field('C') == "57P01");
}

TEST_CASE("a server that said why it ends has the last word") {
  ProxyUnderTest proxy;
  proxy.route_to_a(1);
  auto session = proxy.establish(proxy.a);
  const std::string farewell = report('E', "FATAL", "57P01", "terminating connection due to administrator command");
  session.server.send(farewell);
  session.server.close();
  CHECK(session.client.receive_to_end() == farewell);
  CHECK_FALSE(session.client.ended_by_reset());
  CHECK(proxy.stats().errors_by_sqlstate.empty());
  CHECK(proxy.evidence().empty());
}

TEST_CASE("the last words of a server are heard although it takes nothing more") {
  for (int round = 0; round < 20; ++round) {
    ProxyUnderTest proxy;
    proxy.route_to_a(1);
    auto session = proxy.establish(proxy.a);
    const std::string farewell = report('E', "FATAL", "57P01", "terminating connection due to administrator command");
    session.server.send(farewell);
    session.server.close();
    // May arrive before the farewell was read: the server answers it with a reset.
    session.client.send(query("select 1"));
    CHECK(session.client.receive_to_end() == farewell);
  }
}

TEST_CASE("an ordinary error of the server is not its last word") {
  ProxyUnderTest proxy;
  proxy.route_to_a(1);
  auto session = proxy.establish(proxy.a);
  const std::string error = report('E', "ERROR", "42601", "syntax error") + ready_for_query('I');
  session.server.send(error);
  session.server.close();
  CHECK(session.client.receive(error.size()) == error);
  CHECK(last_error(session.client.receive_to_end()).field('C') == "57P01");
}

TEST_CASE("a client that said goodbye gets no error") {
  ProxyUnderTest proxy;
  proxy.route_to_a(1);
  auto session = proxy.establish(proxy.a);
  session.client.send(terminate());
  CHECK(session.server.receive(terminate().size()) == terminate());
  session.server.close();
  CHECK(session.client.receive_to_end().empty());
  CHECK(proxy.stats().errors_by_sqlstate.empty());
  CHECK(proxy.evidence().empty());
}

TEST_CASE("no byte that a client sends after a change of the route reaches the old server") {
  ProxyUnderTest proxy;
  proxy.route_to_a(1);
  auto session = proxy.establish(proxy.a);
  proxy.route_to_b(2);
  session.client.send(query("insert"));
  CHECK(session.server.receive_to_end().empty());
}

TEST_CASE("a session that ended is gone from the counters") {
  ProxyUnderTest proxy;
  proxy.route_to_a(1);
  auto session = proxy.establish(proxy.a);
  CHECK(proxy.stats().open == 1);
  CHECK(proxy.stats().established == 1);
  proxy.route_to_b(2);
  session.client.receive_to_end();
  session.client.close();
  CHECK(wait_until([&] { return proxy.stats().open == 0; }));
  CHECK(proxy.stats().established == 0);
  CHECK(proxy.stats().errors_by_sqlstate == std::map<std::string, std::uint64_t>{{"57P01", 1}});
}
