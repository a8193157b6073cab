// TLS between the access point and the servers: what sslmode means to libpq, and what becomes of clients where it
// fails.
#include <string>

#include <doctest/doctest.h>

#include "tests/protocol/tls_clients.h"
#include "tests/support/wait_until.h"

using namespace pgkeel;
using namespace pgkeel::test;
using namespace pgkeel::wire_test;
using namespace std::chrono_literals;

namespace {

ProxyUnderTest::Options with_tls(ServerTlsMode mode, const std::string& ca = "", std::string host = "127.0.0.1") {
  return {.proxy = {.workers = 1}, .server_tls = {.mode = mode, .ca = ca}, .server_host = std::move(host)};
}

const TlsPeerOptions kServer = {
    .is_server = true, .certificate_file = certificates().cert, .key_file = certificates().key};

Peer client_of(const ProxyUnderTest& proxy) {
  Peer client = proxy.connect();
  client.send(startup_message());
  return client;
}

void check_works(Peer& client, TlsPeer& server) {
  REQUIRE(server.receive(startup_message().size()) == startup_message());
  server.send(login_answer());
  REQUIRE(client.receive(login_answer().size()) == login_answer());
  client.send(query("select 1"));
  CHECK(server.receive(query("select 1").size()) == query("select 1"));
  server.send(data_row("1") + ready_for_query('I'));
  CHECK(client.receive((data_row("1") + ready_for_query('I')).size()) == data_row("1") + ready_for_query('I'));
}

void check_refused(ProxyUnderTest& proxy, Peer& client, std::string_view why) {
  const auto error = last_error(client.receive_to_end());
  CHECK(error.field('C') == "08001");
  CHECK_MESSAGE(error.field('M').find(why) != std::string::npos, error.field('M'));
  CHECK(wait_until([&] { return proxy.has_evidence(LinkEvidence::Kind::kNotSecure, "a"); }));
}

}  // namespace

TEST_CASE("the server is asked for TLS before it gets the startup packet") {
  struct Case {
    ServerTlsMode mode;
    std::string ca;
    std::string host;
  };
  for (const Case& good :
       {Case{ServerTlsMode::kRequire, "", "127.0.0.1"}, Case{ServerTlsMode::kVerifyCa, certificates().ca, "127.0.0.1"},
        Case{ServerTlsMode::kVerifyFull, certificates().ca, "127.0.0.1"},
        Case{ServerTlsMode::kVerifyFull, certificates().ca, "localhost"}}) {
    CAPTURE(server_tls_mode_name(good.mode));
    ProxyUnderTest proxy(with_tls(good.mode, good.ca, good.host));
    proxy.route_to_a(1);
    Peer client = client_of(proxy);
    TlsPeer server = asked_for_tls(proxy.a);
    server.shake_hands();
    check_works(client, server);
  }
}

TEST_CASE("a certificate that is not as server_tls wants it") {
  TlsPeerOptions strange = kServer;
  strange.certificate_file = certificates().strange_cert;
  strange.key_file = certificates().strange_key;
  const auto refused = [&](const ProxyUnderTest::Options& options, const TlsPeerOptions& server_options,
                           std::string_view why) {
    ProxyUnderTest proxy(options);
    proxy.route_to_a(1);
    Peer client = client_of(proxy);
    TlsPeer server = asked_for_tls(proxy.a, server_options);
    try {
      server.shake_hands();
    } catch (const TlsPeerError&) {  // the proxy told it
    }
    check_refused(proxy, client, why);
  };
  SUBCASE("of another authority") {
    refused(with_tls(ServerTlsMode::kVerifyCa, certificates().ca), strange, "cannot be trusted");
    refused(with_tls(ServerTlsMode::kVerifyFull, certificates().ca), strange, "cannot be trusted");
    // As libpq has it: `require` verifies where it has an authority.
    refused(with_tls(ServerTlsMode::kRequire, certificates().ca), strange, "cannot be trusted");
  }
  SUBCASE("of another host") {
    const TemporaryFolder folder;
    TlsPeerOptions elsewhere = kServer;
    elsewhere.certificate_file = folder.path() + "/tls.crt";
    elsewhere.key_file = folder.path() + "/tls.key";
    certificates().write_server(elsewhere.certificate_file, elsewhere.key_file, {"elsewhere.example", "10.9.8.7"});
    refused(with_tls(ServerTlsMode::kVerifyFull, certificates().ca), elsewhere, "not for \"127.0.0.1\"");
    refused(with_tls(ServerTlsMode::kVerifyFull, certificates().ca, "localhost"), elsewhere, "not for \"localhost\"");
    ProxyUnderTest proxy(with_tls(ServerTlsMode::kVerifyCa, certificates().ca));
    proxy.route_to_a(1);
    Peer client = client_of(proxy);
    TlsPeer server = asked_for_tls(proxy.a, elsewhere);
    server.shake_hands();
    check_works(client, server);
  }
  SUBCASE("none is looked at by `require` alone") {
    ProxyUnderTest proxy(with_tls(ServerTlsMode::kRequire));
    proxy.route_to_a(1);
    Peer client = client_of(proxy);
    TlsPeer server = asked_for_tls(proxy.a, strange);
    server.shake_hands();
    check_works(client, server);
  }
}

TEST_CASE("a server without TLS, or that plays tricks, gets nothing of the client") {
  ProxyUnderTest proxy(with_tls(ServerTlsMode::kRequire));
  proxy.route_to_a(1);
  struct Answer {
    std::string answer;
    std::string_view why;
  };
  for (const auto& [answer, why] :
       {Answer{"N", "does not take TLS"}, Answer{"X", "nonsense"}, Answer{"S" + login_answer(), "unencrypted data"}}) {
    CAPTURE(why);
    Peer client = client_of(proxy);
    Peer server = proxy.a.accept();
    REQUIRE(server.receive(ssl_request().size()) == ssl_request());
    server.send(answer);
    check_refused(proxy, client, why);
    CHECK(server.receive_to_end().empty());
  }
  Peer client = client_of(proxy);
  TlsPeer server = asked_for_tls(proxy.a);
  REQUIRE(server.take_input());  // its ClientHello: what follows cannot be taken for something behind the answer
  server.peer().send("no handshake at all");
  check_refused(proxy, client, "failed the TLS handshake");
}

TEST_CASE("a server that breaks before TLS is there is tried again, without a trace for the client") {
  ProxyUnderTest proxy(with_tls(ServerTlsMode::kVerifyCa, certificates().ca));
  proxy.route_to_a(1);
  Peer client = client_of(proxy);
  SUBCASE("at once") {
    proxy.a.accept().close();
  }
  SUBCASE("with a postmaster's error") {
    Peer server = proxy.a.accept();
    server.receive(ssl_request().size());
    server.send("Ecould not fork\n");
    server.close();
  }
  SUBCASE("inside the handshake") {
    TlsPeer server = asked_for_tls(proxy.a);
    server.take_input();
    server.peer().close();
  }
  TlsPeer server = asked_for_tls(proxy.a);
  server.shake_hands();
  check_works(client, server);
}

TEST_CASE("the bytes of the server's handshake may come one by one") {
  ProxyUnderTest proxy(with_tls(ServerTlsMode::kVerifyFull, certificates().ca));
  proxy.route_to_a(1);
  Peer client = client_of(proxy);
  TlsPeer server = asked_for_tls(proxy.a);
  server.shake_hands(1);
  check_works(client, server);
}

TEST_CASE("a cancel request goes to the server inside of TLS") {
  ProxyUnderTest proxy(with_tls(ServerTlsMode::kVerifyFull, certificates().ca));
  proxy.route_to_a(1);
  Peer client = client_of(proxy);
  TlsPeer server = asked_for_tls(proxy.a);
  server.shake_hands();
  check_works(client, server);
  Peer cancel = proxy.connect();
  cancel.send(cancel_request(4711, "\1\2\3\4"));
  TlsPeer heard = asked_for_tls(proxy.a);
  heard.shake_hands();
  CHECK(heard.receive(16) == cancel_request(4711, "\1\2\3\4"));
  heard.say_goodbye();
  heard.peer().close();
  CHECK(cancel.receive_to_end().empty());
  CHECK(wait_until([&] { return proxy.stats().cancels_forwarded == 1; }));
}

TEST_CASE("a server that dies ends the session in TLS as it does in clear") {
  ProxyUnderTest proxy(with_tls(ServerTlsMode::kRequire));
  proxy.route_to_a(1);
  for (const bool with_goodbye : {false, true}) {
    Peer client = client_of(proxy);
    TlsPeer server = asked_for_tls(proxy.a);
    server.shake_hands();
    check_works(client, server);
    if (with_goodbye) server.say_goodbye();
    server.peer().close();
    CHECK(last_error(client.receive_to_end()).field('C') == "57P01");
  }
}
