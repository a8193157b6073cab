// Clients and servers of an access point with TLS, for the tests of it. Throws, and fails the test, where one does not
// get in.
#pragma once

#include <string>
#include <utility>

#include <doctest/doctest.h>

#include "tests/protocol/proxy_under_test.h"
#include "tests/support/temporary_folder.h"
#include "tests/support/test_certificates.h"
#include "tests/support/tls_peer.h"

namespace pgkeel::test {

using namespace wire_test;

inline const TestCertificates& certificates() {
  static const TemporaryFolder folder;
  static const TestCertificates made(folder.path());
  return made;
}

inline ClientTlsConfig client_tls(ClientTlsMode mode) {
  return {.mode = mode,
          .cert = certificates().cert,
          .key = certificates().key,
          .client_ca = mode == ClientTlsMode::kVerifyClient ? certificates().ca : ""};
}

inline ProxyUnderTest::Options with_tls(ClientTlsMode mode, ProxyConfig proxy = {.workers = 2}) {
  return {.proxy = proxy, .client_tls = client_tls(mode)};
}

inline TlsPeerOptions trusting() {
  return {.authority_file = certificates().ca};
}

// A client that has asked for TLS and got its yes; the handshake is still to come.
inline Peer asked_for_tls(const ProxyUnderTest& proxy) {
  Peer client = proxy.connect();
  client.send(ssl_request());
  REQUIRE(client.receive(1) == "S");
  return client;
}

// A server that was asked for TLS, and says yes; the handshake is still to come.
inline TlsPeer asked_for_tls(PeerListener& listener,
                             const TlsPeerOptions& options = {.is_server = true,
                                                              .certificate_file = certificates().cert,
                                                              .key_file = certificates().key}) {
  Peer server = listener.accept();
  REQUIRE(server.receive(ssl_request().size()) == ssl_request());
  server.send("S");
  return TlsPeer(std::move(server), options);
}

inline TlsPeer encrypted(const ProxyUnderTest& proxy, const TlsPeerOptions& options = trusting(),
                         std::size_t piece = 0) {
  TlsPeer client(asked_for_tls(proxy), options);
  client.shake_hands(piece);
  return client;
}

// Logs in at `a`; returns the server's end.
inline Peer log_in(ProxyUnderTest& proxy, TlsPeer& client) {
  client.send(startup_message());
  Peer server = proxy.a.accept();
  REQUIRE(server.receive(startup_message().size()) == startup_message());
  server.send(login_answer());
  REQUIRE(client.receive(login_answer().size()) == login_answer());
  return server;
}

inline void check_passes_both_ways(TlsPeer& client, Peer& server) {
  client.send(query("select 1"));
  CHECK(server.receive(query("select 1").size()) == query("select 1"));
  const std::string answer = data_row("1") + command_complete("SELECT 1") + ready_for_query('I');
  server.send(answer);
  CHECK(client.receive(answer.size()) == answer);
}

inline bool wait_all_gone(const ProxyUnderTest& proxy) {
  return wait_until([&] { return proxy.stats().open == 0; });
}

}  // namespace pgkeel::test
