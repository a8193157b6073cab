// Sessions inside of TLS: what passes, what is told in it, and how it ends.
#include <string>
#include <thread>

#include "tests/protocol/tls_clients.h"

using namespace pgkeel;
using namespace pgkeel::test;
using namespace pgkeel::wire_test;
using namespace std::chrono_literals;

TEST_CASE("the bytes of a handshake and a session may come one by one") {
  ProxyUnderTest proxy(with_tls(ClientTlsMode::kAllow));
  proxy.route_to_a(1);
  for (const bool direct : {false, true}) {
    CAPTURE(direct);
    TlsPeer client(direct ? proxy.connect() : asked_for_tls(proxy), trusting());
    client.shake_hands(1);
    for (const char byte : client.encrypt(startup_message())) client.peer().send(std::string(1, byte));
    Peer server = proxy.a.accept();
    REQUIRE(server.receive(startup_message().size()) == startup_message());
    for (const char byte : login_answer()) server.send(std::string(1, byte));
    REQUIRE(client.receive(login_answer().size()) == login_answer());
    for (const char byte : client.encrypt(query("select 1"))) client.peer().send(std::string(1, byte));
    CHECK(server.receive(query("select 1").size()) == query("select 1"));
  }
}

TEST_CASE("many small records in one piece, and all at once with the end of the handshake") {
  ProxyUnderTest proxy(with_tls(ClientTlsMode::kAllow));
  proxy.route_to_a(1);
  TlsPeer client = encrypted(proxy);
  std::string records = client.encrypt(startup_message());
  std::string said;
  for (int number = 0; number < 2000; ++number) {
    const std::string one = query("select " + std::to_string(number));
    records += client.encrypt(one);
    said += one;
  }
  client.peer().send(records);
  Peer server = proxy.a.accept();
  REQUIRE(server.receive(startup_message().size()) == startup_message());
  server.send(login_answer());
  REQUIRE(client.receive(login_answer().size()) == login_answer());
  CHECK(server.receive(said.size()) == said);
}

TEST_CASE("a receiver that does not read holds up the sender, and nothing is lost") {
  ProxyUnderTest proxy(with_tls(ClientTlsMode::kAllow));
  proxy.route_to_a(1);
  Peer raw = proxy.connect();
  raw.shrink_buffers();
  raw.send(ssl_request());
  REQUIRE(raw.receive(1) == "S");
  TlsPeer client(std::move(raw), trusting());
  client.shake_hands();
  Peer server = log_in(proxy, client);
  // Much more than sockets hold; it stops by itself.
  std::string row = data_row(std::string(60'000, 'r'));
  std::string sent;
  std::size_t stuck = 0;
  while (stuck < 50 && sent.size() < (std::size_t{64} << 20)) {
    const std::size_t taken = server.send_what_fits(row);
    sent += row.substr(0, taken);
    row = row.substr(taken) + row.substr(0, taken);
    if (taken > 0) {
      stuck = 0;
    } else {
      ++stuck;
      std::this_thread::sleep_for(1ms);
    }
  }
  REQUIRE(sent.size() < (std::size_t{64} << 20));
  CHECK(client.receive(sent.size()) == sent);
}

TEST_CASE("a client cannot renegotiate, and may update its keys") {
  ProxyUnderTest proxy(with_tls(ClientTlsMode::kAllow));
  proxy.route_to_a(1);
  SUBCASE("renegotiation: refused, and the session goes on or ends, but nothing hangs") {
    TlsPeerOptions old = trusting();
    old.newest_version = 0x0303;
    TlsPeer client = encrypted(proxy, old);
    Peer server = log_in(proxy, client);
    client.ask_for_renegotiation();
    CHECK_THROWS_AS(client.receive(1), TlsPeerError);
    client.peer().close();
    CHECK(server.receive_to_end().empty());
  }
  SUBCASE("new keys") {
    TlsPeer client = encrypted(proxy);
    Peer server = log_in(proxy, client);
    for (int round = 0; round < 100; ++round) client.ask_for_key_update();
    check_passes_both_ways(client, server);
  }
}

TEST_CASE("the error that ends a session comes inside of TLS, then a goodbye, then the end of the connection") {
  ProxyUnderTest proxy(with_tls(ClientTlsMode::kRequire));
  proxy.route_to_a(1);
  TlsPeer idle = encrypted(proxy);
  Peer idle_server = log_in(proxy, idle);
  TlsPeer busy = encrypted(proxy);
  Peer busy_server = log_in(proxy, busy);
  busy.send(query("commit"));
  busy_server.receive(query("commit").size());
  busy_server.send(data_row("1") + data_row("2").substr(0, 9));
  REQUIRE(busy.receive(data_row("1").size()) == data_row("1"));
  proxy.route_to_b(2);
  for (TlsPeer* client : {&idle, &busy}) {
    CHECK(last_error(client->receive_message()).field('C') == "57P01");
    client->send(query("anybody there?"));
    CHECK(client->receive_to_end().empty());
    CHECK(client->ended_by_close_notify());
    CHECK_FALSE(client->peer().ended_by_reset());
    client->peer().close();
  }
  CHECK(wait_all_gone(proxy));
}

TEST_CASE("a client that is held, and goes, is noticed") {
  ProxyUnderTest proxy(with_tls(ClientTlsMode::kAllow));
  proxy.route_nowhere(1);
  TlsPeer client = encrypted(proxy);
  client.send(startup_message());
  REQUIRE(wait_until([&] { return proxy.stats().held == 1; }));
  client.say_goodbye();
  client.peer().close();
  CHECK(wait_all_gone(proxy));
}

TEST_CASE("a cancel request may come inside of TLS, and its client sees a proper end") {
  ProxyUnderTest proxy(with_tls(ClientTlsMode::kRequire));
  proxy.route_to_a(1);
  TlsPeer client = encrypted(proxy);
  Peer server = log_in(proxy, client);
  TlsPeer cancel = encrypted(proxy);
  cancel.send(cancel_request(4711, "\1\2\3\4"));
  Peer heard = proxy.a.accept();
  CHECK(heard.receive(16) == cancel_request(4711, "\1\2\3\4"));
  CHECK_FALSE(cancel.peer().has_something_to_read());
  heard.close();
  CHECK(cancel.receive_to_end().empty());
  CHECK(cancel.ended_by_close_notify());
}

TEST_CASE("new certificates are shown to new connections, and a session goes on") {
  const TemporaryFolder folder;
  const TestCertificates first(folder.path());
  ClientTlsConfig config{.mode = ClientTlsMode::kRequire, .cert = first.cert, .key = first.key, .client_ca = ""};
  ProxyUnderTest proxy({.client_tls = config});
  proxy.route_to_a(1);
  const TlsPeerOptions trusts_first{.authority_file = first.ca};
  TlsPeer old_client = encrypted(proxy, trusts_first);
  Peer old_server = log_in(proxy, old_client);
  first.write_server(first.cert, first.key, {"localhost"});
  proxy.replace_client_tls(config);
  REQUIRE(wait_until([&] {
    return encrypted(proxy, trusts_first).certificate_of_other_side() != old_client.certificate_of_other_side();
  }));
  check_passes_both_ways(old_client, old_server);
}
