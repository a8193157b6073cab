// TLS between clients and the access point: how it begins, and who may come in.
#include <string>
#include <vector>

#include "tests/protocol/tls_clients.h"

using namespace pgkeel;
using namespace pgkeel::test;
using namespace pgkeel::wire_test;
using namespace std::chrono_literals;

TEST_CASE("a client asks for TLS, logs in and works in it") {
  ProxyUnderTest proxy(with_tls(ClientTlsMode::kAllow));
  proxy.route_to_a(1);
  TlsPeer client = encrypted(proxy);
  CHECK(client.version() == "TLSv1.3");
  Peer server = log_in(proxy, client);
  check_passes_both_ways(client, server);
  CHECK(proxy.stats().client_handshakes == 1);
  client.send(terminate());
  client.say_goodbye();
  CHECK(server.receive(terminate().size()) == terminate());
  CHECK(server.receive_to_end().empty());
}

TEST_CASE("every mode takes, or refuses, what it must") {
  SUBCASE("off: TLS is declined, and a ClientHello out of the blue is closed") {
    ProxyUnderTest proxy;
    Peer client = proxy.connect();
    client.send(ssl_request());
    CHECK(client.receive(1) == "N");
    Peer direct = proxy.connect();
    direct.send(TlsPeer(Peer()).take_output());
    CHECK(direct.receive_to_end().empty());
  }
  SUBCASE("allow: a session in clear is as good") {
    ProxyUnderTest proxy(with_tls(ClientTlsMode::kAllow));
    proxy.route_to_a(1);
    proxy.establish(proxy.a);
  }
  SUBCASE("require: a startup packet in clear gets 28000, a cancel request does not need TLS") {
    ProxyUnderTest proxy(with_tls(ClientTlsMode::kRequire));
    proxy.route_to_a(1);
    Peer client = proxy.connect();
    client.send(startup_message());
    const auto error = last_error(client.receive_to_end());
    CHECK(error.field('C') == "28000");
    CHECK(error.field('M').find("sslmode=require") != std::string::npos);
    TlsPeer good = encrypted(proxy);
    Peer server = log_in(proxy, good);
    Peer cancel = proxy.connect();
    cancel.send(cancel_request(4711, "\1\2\3\4"));
    CHECK(proxy.a.accept().receive(16) == cancel_request(4711, "\1\2\3\4"));
  }
  SUBCASE("verify-client: only with a certificate of the authority") {
    ProxyUnderTest proxy(with_tls(ClientTlsMode::kVerifyClient));
    proxy.route_to_a(1);
    TlsPeerOptions good = trusting();
    good.certificate_file = certificates().client_cert;
    good.key_file = certificates().client_key;
    TlsPeer client = encrypted(proxy, good);
    Peer server = log_in(proxy, client);
    check_passes_both_ways(client, server);

    TlsPeerOptions strange = good;
    strange.certificate_file = certificates().strange_client_cert;
    strange.key_file = certificates().strange_client_key;
    for (TlsPeerOptions options : {trusting(), strange}) {
      for (const int version : {0, 0x0303}) {
        options.newest_version = version;
        // In TLS 1.3 the client's own handshake is over before its certificate is looked at.
        CHECK_THROWS_AS(encrypted(proxy, options).receive_to_end(), TlsPeerError);
      }
    }
    CHECK(wait_until([&] { return proxy.stats().client_handshakes_failed == 4; }));
    CHECK_FALSE(proxy.a.somebody_waits());
  }
}

TEST_CASE("TLS from the first byte on needs ALPN") {
  ProxyUnderTest proxy(with_tls(ClientTlsMode::kRequire));
  proxy.route_to_a(1);
  {
    TlsPeer client(proxy.connect(), trusting());
    client.shake_hands();
    Peer server = log_in(proxy, client);
    check_passes_both_ways(client, server);
  }
  {
    TlsPeerOptions none = trusting();
    none.offers_postgresql = false;
    TlsPeer client(proxy.connect(), none);
    client.shake_hands();
    CHECK(last_error(client.receive_to_end()).field('C') == "08P01");
    CHECK(client.ended_by_close_notify());
    // On request, nobody needs it.
    TlsPeer other = encrypted(proxy, none);
    log_in(proxy, other);
  }
  TlsPeerOptions http = trusting();
  http.offered_protocol = "h2";
  TlsPeer client(proxy.connect(), http);
  CHECK_THROWS_WITH_AS(client.shake_hands(), doctest::Contains("no application protocol"), TlsPeerError);
  CHECK_THROWS_AS(encrypted(proxy, http), TlsPeerError);
}

TEST_CASE("what comes in clear behind a request for TLS is refused, in clear") {
  ProxyUnderTest proxy(with_tls(ClientTlsMode::kAllow));
  for (const std::string& behind : {std::string("x"), startup_message(), TlsPeer(Peer()).take_output()}) {
    Peer client = proxy.connect();
    client.send(ssl_request() + behind);
    const auto error = last_error(client.receive_to_end());
    CHECK(error.field('C') == "08P01");
    CHECK(error.field('M').find("unencrypted data") != std::string::npos);
  }
}

TEST_CASE("a second request, inside of TLS, is refused there") {
  ProxyUnderTest proxy(with_tls(ClientTlsMode::kAllow));
  TlsPeer client = encrypted(proxy);
  client.send(ssl_request());
  CHECK(last_error(client.receive_to_end()).field('C') == "08P01");
}

TEST_CASE("GSSAPI is declined, and TLS may be asked for next") {
  ProxyUnderTest proxy(with_tls(ClientTlsMode::kRequire));
  proxy.route_to_a(1);
  Peer peer = proxy.connect();
  peer.send(gss_encryption_request());
  CHECK(peer.receive(1) == "N");
  peer.send(ssl_request());
  CHECK(peer.receive(1) == "S");
  TlsPeer client(std::move(peer), trusting());
  client.shake_hands();
  log_in(proxy, client);
}

TEST_CASE("versions before TLS 1.2 are not spoken") {
  ProxyUnderTest proxy(with_tls(ClientTlsMode::kAllow));
  proxy.route_to_a(1);
  for (const int version : {0x0301, 0x0302}) {
    TlsPeerOptions old = trusting();
    old.newest_version = version;
    CHECK_THROWS_WITH_AS(encrypted(proxy, old), doctest::Contains("protocol version"), TlsPeerError);
  }
  TlsPeerOptions oldest_good = trusting();
  oldest_good.newest_version = 0x0303;
  TlsPeer client = encrypted(proxy, oldest_good);
  CHECK(client.version() == "TLSv1.2");
  Peer server = log_in(proxy, client);
  check_passes_both_ways(client, server);
}

TEST_CASE("garbage instead of a handshake, or inside of one, ends the connection") {
  ProxyUnderTest proxy(with_tls(ClientTlsMode::kAllow));
  SUBCASE("garbage at once") {
    Peer client = asked_for_tls(proxy);
    client.send("GET / HTTP/1.1\r\nHost: proxy\r\n\r\n");
    client.finish_sending();
    client.receive_to_end();  // an alert, perhaps
    CHECK_FALSE(client.ended_by_reset());
  }
  SUBCASE("a ClientHello that is damaged at any place") {
    const std::string hello = TlsPeer(Peer()).take_output();
    for (std::size_t at = 0; at < hello.size(); at += 7) {
      Peer client = asked_for_tls(proxy);
      std::string damaged = hello;
      damaged[at] = static_cast<char>(damaged[at] ^ 0x55);
      client.send(damaged);
      client.finish_sending();
      client.receive_to_end();
    }
  }
  SUBCASE("a startup packet in clear where a ClientHello is due") {
    Peer client = asked_for_tls(proxy);
    client.send(startup_message());
    client.finish_sending();
    CHECK(client.receive_to_end().find("28000") == std::string::npos);
  }
  SUBCASE("damaged records of a session") {
    proxy.route_to_a(1);
    TlsPeer client = encrypted(proxy);
    Peer server = log_in(proxy, client);
    std::string record = client.encrypt(query("drop table t"));
    record.back() = static_cast<char>(record.back() ^ 1);
    client.peer().send(record);
    CHECK(server.receive_to_end().empty());
  }
  CHECK(wait_all_gone(proxy));
}

TEST_CASE("half a handshake is cut off by login_timeout, and an early end is noticed") {
  ProxyUnderTest proxy(with_tls(ClientTlsMode::kAllow, {.workers = 1, .login_timeout = 300ms}));
  const std::string hello = TlsPeer(Peer()).take_output();
  std::vector<Peer> halves;
  for (const std::size_t part : {std::size_t{0}, std::size_t{1}, std::size_t{5}, hello.size() / 2, hello.size()}) {
    Peer client = asked_for_tls(proxy);
    client.send(hello.substr(0, part));
    halves.push_back(std::move(client));
  }
  Peer direct = proxy.connect();
  direct.send(hello.substr(0, 4));
  halves.push_back(std::move(direct));
  for (auto& client : halves) client.receive_to_end();
  Peer gone = asked_for_tls(proxy);
  gone.close();
  CHECK(wait_all_gone(proxy));
}

TEST_CASE("a client from a network that is not allowed gets no handshake: 28000, or nothing where TLS comes first") {
  ProxyUnderTest::Options options = with_tls(ClientTlsMode::kRequire);
  options.allow = {"10.0.0.0/8"};
  ProxyUnderTest proxy(options);
  proxy.route_to_a(1);
  Peer client = proxy.connect();
  client.send(ssl_request());
  CHECK(last_error(client.receive_to_end()).field('C') == "28000");
  TlsPeer direct(proxy.connect(), trusting());
  direct.peer().send(direct.take_output());
  CHECK(direct.peer().receive_to_end().empty());
  CHECK(proxy.stats().client_handshakes == 0);
}
