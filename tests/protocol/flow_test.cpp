// Back-pressure, huge messages, and peers that go away half or wholly.
#include <cstdio>
#include <fstream>
#include <string>
#include <thread>
#include <tuple>

#include <doctest/doctest.h>

#include "tests/protocol/proxy_under_test.h"

using namespace pgkeel;
using namespace pgkeel::test;
using namespace pgkeel::wire_test;
using namespace std::chrono_literals;

namespace {

std::string rows_of(std::size_t bytes) {
  std::string rows;
  for (std::uint32_t row = 0; rows.size() < bytes; ++row)
    rows += data_row(int32_bytes(row) + std::string(row % 3000, 'r'));
  return rows;
}

}  // namespace

TEST_CASE("a client that does not read stops its server, not the proxy, and loses nothing") {
  ProxyUnderTest proxy;
  proxy.route_to_a(1);
  auto slow = proxy.establish(proxy.a);
  auto other = proxy.establish(proxy.a);
  const std::string rows = rows_of(64 << 20);
  const std::size_t blocked_at = send_until_blocked(proxy, slow.server, rows);
  // What the proxy itself holds is one read; the rest is with the kernel.
  CHECK(proxy.bytes_read() < (24U << 20));
  other.client.send(query("select 1"));
  CHECK(other.server.receive(query("select 1").size()) == query("select 1"));
  std::thread rest([&] { slow.server.send(std::string_view(rows).substr(blocked_at)); });
  const bool all_there = slow.client.receive(rows.size()) == rows;
  rest.join();
  CHECK(all_there);
}

TEST_CASE("a server that does not read stops its client, and loses nothing") {
  ProxyUnderTest proxy;
  proxy.route_to_a(1);
  auto session = proxy.establish(proxy.a);
  std::string copy = query("copy t from stdin");
  while (copy.size() < (64U << 20)) copy += message('d', std::string(copy.size() % 5000, 'c'));
  const std::size_t blocked_at = send_until_blocked(proxy, session.client, copy);
  CHECK(proxy.bytes_read() < (24U << 20));
  // The other direction is not affected.
  session.server.send(report('N', "NOTICE", "00000", "slow"));
  CHECK(split_messages(session.client.receive_message())[0].type == 'N');
  std::thread rest([&] { session.client.send(std::string_view(copy).substr(blocked_at)); });
  const bool all_there = session.server.receive(copy.size()) == copy;
  rest.join();
  CHECK(all_there);
}

TEST_CASE("both sides may block at once, and both go on") {
  ProxyUnderTest proxy;
  proxy.route_to_a(1);
  auto session = proxy.establish(proxy.a);
  const std::string rows = rows_of(32 << 20);
  std::string copy;
  while (copy.size() < (32U << 20)) copy += message('d', std::string(4000, 'c'));
  const std::size_t server_blocked_at = send_until_blocked(proxy, session.server, rows);
  const std::size_t client_blocked_at = send_until_blocked(proxy, session.client, copy);
  std::thread server_rest([&] { session.server.send(std::string_view(rows).substr(server_blocked_at)); });
  std::thread client_rest([&] { session.client.send(std::string_view(copy).substr(client_blocked_at)); });
  bool server_heard_all = false;
  std::thread server_hears([&] { server_heard_all = session.server.receive(copy.size()) == copy; });
  const bool client_heard_all = session.client.receive(rows.size()) == rows;
  server_rest.join();
  client_rest.join();
  server_hears.join();
  CHECK(client_heard_all);
  CHECK(server_heard_all);
}

TEST_CASE("a message of 256 MB passes through, and the proxy does not hold it") {
  ProxyUnderTest proxy;
  proxy.route_to_a(1);
  auto session = proxy.establish(proxy.a);
  constexpr std::size_t kBody = 256U << 20;
  const std::string chunk(1U << 20, 'h');
  std::thread sender([&] {
    session.server.send("D" + int32_bytes(static_cast<std::uint32_t>(kBody + 4)));
    for (std::size_t sent = 0; sent < kBody; sent += chunk.size()) session.server.send(chunk);
    session.server.send(ready_for_query('I'));
  });
  CHECK(session.client.receive(5) == "D" + int32_bytes(static_cast<std::uint32_t>(kBody + 4)));
  bool all_there = true;
  for (std::size_t heard = 0; heard < kBody; heard += chunk.size()) {
    all_there = session.client.receive(chunk.size()) == chunk && all_there;
  }
  sender.join();
  CHECK(all_there);
  CHECK(session.client.receive_message() == ready_for_query('I'));
}

TEST_CASE("a client that closes its sending half still hears the answer") {
  ProxyUnderTest proxy;
  proxy.route_to_a(1);
  auto session = proxy.establish(proxy.a);
  session.client.send(query("select 1"));
  session.client.finish_sending();
  CHECK(session.server.receive_to_end() == query("select 1"));
  CHECK_FALSE(session.server.ended_by_reset());
  session.server.send(data_row("1") + ready_for_query('I'));
  session.server.close();
  CHECK(session.client.receive_to_end() == data_row("1") + ready_for_query('I'));
  CHECK(proxy.evidence().empty());
}

TEST_CASE("what a client sent before it closed reaches a server that reads late") {
  ProxyUnderTest proxy;
  proxy.route_to_a(1);
  auto session = proxy.establish(proxy.a);
  std::string copy;
  while (copy.size() < (16U << 20)) copy += message('d', std::string(4000, 'c'));
  std::thread sender([&] {
    session.client.send(copy);
    session.client.finish_sending();
  });
  std::string heard;
  std::thread reader([&] { heard = session.server.receive_to_end(); });
  sender.join();
  reader.join();
  CHECK(heard == copy);
  CHECK_FALSE(session.server.ended_by_reset());
}

TEST_CASE("a client that vanishes frees its server, in whatever state") {
  struct Case {
    const char* name;
    bool server_is_blocked;
    bool client_is_blocked;
  };
  for (const Case& state : {Case{"idle", false, false}, Case{"does not read", true, false},
                            Case{"is not read", false, true}, Case{"neither", true, true}}) {
    CAPTURE(state.name);
    ProxyUnderTest proxy;
    proxy.route_to_a(1);
    auto session = proxy.establish(proxy.a);
    if (state.server_is_blocked) send_until_blocked(proxy, session.server, rows_of(64 << 20));
    if (state.client_is_blocked) send_until_blocked(proxy, session.client, message('d', std::string(64 << 20, 'c')));
    session.client.reset();
    CHECK(wait_until([&] { return proxy.stats().open == 0; }));
    session.server.receive_to_end();
  }
}

TEST_CASE("a server that vanishes while its client does not read: the client gets what was there, then the error") {
  ProxyUnderTest proxy;
  proxy.route_to_a(1);
  auto session = proxy.establish(proxy.a);
  const std::string rows = rows_of(64 << 20);
  send_until_blocked(proxy, session.server, rows);
  session.server.close();
  const std::string heard = session.client.receive_to_end();
  const auto messages = split_messages(heard);
  for (std::size_t at = 0; at + 1 < messages.size(); ++at) REQUIRE(messages[at].type == 'D');
  if (messages.back().type == 'E') CHECK(messages.back().field('C') == "57P01");
  CHECK(wait_until([&] {
    session.client.close();
    return proxy.stats().open == 0;
  }));
}

TEST_CASE("a client that reads on long after its session has ended finds the error, and no end before it") {
  ProxyUnderTest proxy;
  proxy.route_to_a(1);
  auto session = proxy.establish(proxy.a);
  // Kernels find room for more for a while.
  send_until_blocked(proxy, session.server, rows_of(64 << 20), 500);
  proxy.route_to_b(2);
  // Longer than a client may take that could have read it all; this one could only where all went into its kernel.
  std::ignore = wait_until([&] { return proxy.stats().open == 0; }, 12s);
  const auto messages = split_messages(session.client.receive_to_end());
  REQUIRE_FALSE(messages.empty());
  CHECK(messages.back().field('C') == "57P01");
  session.client.close();
  CHECK(wait_until([&] { return proxy.stats().open == 0; }));
}

TEST_CASE("sessions come and go by the hundred, and none is left behind") {
  ProxyUnderTest proxy;
  proxy.route_to_a(1);
  for (int round = 0; round < 5; ++round) {
    std::vector<ProxyUnderTest::Established> sessions;
    for (std::uint32_t session = 0; session < 100; ++session) sessions.push_back(proxy.establish(proxy.a, session));
    CHECK(proxy.stats().established == 100);
    for (std::size_t at = 0; at < sessions.size(); ++at) {
      if (at % 3 == 0)
        sessions[at].client.close();
      else if (at % 3 == 1)
        sessions[at].server.close();
      else
        sessions[at].client.reset();
    }
    sessions.clear();
    REQUIRE(wait_until([&] { return proxy.stats().open == 0; }));
    CHECK(proxy.stats().established == 0);
  }
  CHECK(proxy.stats().accepted == 500);
}
