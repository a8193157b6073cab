// Packets that no client or server of PostgreSQL sends: an error or a close, never a crash, a hang or growth.
#include <string>

#include <doctest/doctest.h>

#include "tests/protocol/proxy_under_test.h"

using namespace pgkeel;
using namespace pgkeel::test;
using namespace pgkeel::wire_test;
using namespace std::string_literals;

namespace {

constexpr std::string_view kProtocolViolation = "08P01";

// What becomes of a connection that sends this and waits. Nothing of it may reach a server.
std::string answer_to(ProxyUnderTest& proxy, std::string_view bytes) {
  Peer client = proxy.connect();
  client.send(bytes);
  return client.receive_to_end();
}

}  // namespace

TEST_CASE("what is no startup packet is closed without a word") {
  ProxyUnderTest proxy;
  proxy.route_to_a(1);
  const std::string client_hello = "\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03" + std::string(200, 'h');
  for (const std::string& nonsense :
       {client_hello, std::string("GET / HTTP/1.1\r\nHost: db\r\n\r\n"), int32_bytes(0), int32_bytes(4), int32_bytes(7),
        int32_bytes(10001), int32_bytes(0xffffffff), std::string(100'000, '\xff')}) {
    CAPTURE(nonsense.size());
    CHECK(answer_to(proxy, nonsense).empty());
  }
  CHECK_FALSE(proxy.a.somebody_waits());
}

TEST_CASE("a startup packet that never ends is closed at login_timeout") {
  ProxyUnderTest proxy({.proxy = {.workers = 1, .login_timeout = std::chrono::milliseconds(50)}});
  proxy.route_to_a(1);
  CHECK(answer_to(proxy, int32_bytes(10000) + std::string(500, 'x')).empty());
  CHECK(answer_to(proxy, int32_bytes(80)).empty());
  CHECK(answer_to(proxy, "").empty());
}

TEST_CASE("the largest startup packet passes") {
  ProxyUnderTest proxy;
  proxy.route_to_a(1);
  const std::string largest = startup_message(0, std::string(10000 - 15, 'u'));
  REQUIRE(largest.size() == 10000);
  Peer client = proxy.connect();
  client.send(largest);
  CHECK(proxy.a.accept().receive(largest.size()) == largest);
}

TEST_CASE("bytes behind an encryption request are refused") {
  ProxyUnderTest proxy;
  proxy.route_to_a(1);
  for (const std::string& request : {ssl_request(), gss_encryption_request()}) {
    for (const std::string& behind : {std::string("x"), startup_message(), request}) {
      const auto error = last_error(answer_to(proxy, request + behind));
      CHECK(error.field('C') == kProtocolViolation);
    }
  }
  CHECK_FALSE(proxy.a.somebody_waits());
}

TEST_CASE("encryption is not asked for without end") {
  ProxyUnderTest proxy;
  Peer client = proxy.connect();
  for (int request = 0; request < 2; ++request) {
    client.send(ssl_request());
    CHECK(client.receive(1) == "N");
  }
  client.send(ssl_request());
  CHECK(last_error(client.receive_to_end()).field('C') == kProtocolViolation);
}

TEST_CASE("other major versions of the protocol get an error that old clients can read") {
  ProxyUnderTest proxy;
  for (const std::uint16_t major : {std::uint16_t{0}, std::uint16_t{1}, std::uint16_t{2}, std::uint16_t{4}}) {
    const auto error = last_error(answer_to(proxy, untyped(int16_bytes(major) + int16_bytes(0) + "user\0alice\0\0"s)));
    CHECK(error.field('C') == "0A000");
  }
}

TEST_CASE("cancel requests of wrong lengths get an error, and no server hears of them") {
  ProxyUnderTest proxy;
  proxy.route_to_a(1);
  for (const std::size_t size : {0U, 3U, 257U, 5000U}) {
    CHECK(last_error(answer_to(proxy, cancel_request(1, std::string(size, 's')))).field('C') == kProtocolViolation);
  }
  CHECK_FALSE(proxy.a.somebody_waits());
}

TEST_CASE("a length that can't be ends an established session, and none of that message reaches the server") {
  for (const std::uint32_t length : {0U, 3U, 0x40000000U, 0xffffffffU}) {
    CAPTURE(length);
    ProxyUnderTest proxy;
    proxy.route_to_a(1);
    auto session = proxy.establish(proxy.a);
    session.client.send("Q" + int32_bytes(length) + "select 1");
    CHECK(last_error(session.client.receive_to_end()).field('C') == kProtocolViolation);
    CHECK(session.server.receive_to_end().empty());
  }
}

TEST_CASE("a server that sends a length that can't be is cut off between two messages") {
  for (const std::uint32_t length : {0U, 3U, 0x40000000U, 0xffffffffU}) {
    CAPTURE(length);
    ProxyUnderTest proxy;
    proxy.route_to_a(1);
    auto session = proxy.establish(proxy.a);
    session.server.send(data_row("1") + "D" + int32_bytes(length) + "rest");
    const std::string heard = session.client.receive_to_end();
    CHECK(split_messages(heard).size() == 2);
    CHECK(last_error(heard).field('C') == kProtocolViolation);
    session.server.receive_to_end();
  }
}

TEST_CASE("a server that answers a login with nonsense is cut off") {
  for (const std::string& nonsense : {"HTTP/1.1 400 Bad Request\r\n\r\n"s, "R" + int32_bytes(3),
                                      "R" + int32_bytes(0xffffffff), std::string(5, '\0')}) {
    ProxyUnderTest proxy;
    proxy.route_to_a(1);
    Peer client = proxy.connect();
    client.send(startup_message());
    Peer server = proxy.a.accept();
    server.receive(startup_message().size());
    server.send(nonsense);
    CHECK(last_error(client.receive_to_end()).field('C') == kProtocolViolation);
    server.receive_to_end();
  }
}

TEST_CASE("login messages that are too short for what they should hold do no harm") {
  ProxyUnderTest proxy;
  proxy.route_to_a(1);
  Peer client = proxy.connect();
  client.send(startup_message());
  Peer server = proxy.a.accept();
  server.receive(startup_message().size());
  const std::string answer = authentication_ok() + message('S', "") + message('S', "in_hot_standby") +
                             parameter_status("in_hot_standby", "off") + message('K', "") + message('K', "ab") +
                             message('N', "") + message('Z', "");
  server.send(answer);
  CHECK(client.receive(answer.size()) == answer);
  server.send(message('E', "") + message('N', "C") + message('Z', ""));
  CHECK(client.receive(5 + 6 + 5) == message('E', "") + message('N', "C") + message('Z', ""));
}

TEST_CASE("a client that floods its connection after its end is not listened to for ever") {
  ProxyUnderTest proxy;
  proxy.route_to_a(1);
  auto session = proxy.establish(proxy.a);
  proxy.route_to_b(2);
  session.client.receive_to_end();
  for (int flood = 0; flood < 100; ++flood) session.client.send(std::string(10'000, 'f'));
  session.client.close();
  CHECK(wait_until([&] { return proxy.stats().open == 0; }));
}
