// SCRAM exchanges that the access point joins: what passes in which order, and logins that are repeated once the client
// has proven itself. The client is that of RFC 7677 (password "pencil"), in clear, and thinks that the server cannot
// bind to a channel (y), which the server, in TLS, can.
#include <atomic>
#include <memory>
#include <string>

#include <doctest/doctest.h>

#include "proxy/io/scram_keys.h"
#include "proxy/wire/scram_messages.h"
#include "tests/protocol/tls_clients.h"

using namespace pgkeel;
using namespace pgkeel::test;
using namespace pgkeel::wire_test;

namespace {

const std::string kOffer = authentication(10, "SCRAM-SHA-256-PLUS\0SCRAM-SHA-256\0\0"sv);
const std::string kVerifier =
    "SCRAM-SHA-256$4096:W22ZaJ0SNY7soEsUEjb6gQ==$WG5d8oPm3OtcPnkdi4Uo7BkeZkBFzpcXkuLmtbsT4qY=:"
    "wfPLwcE6nTWhTAmQ7tl2KeoiWGPlZqQxSrmfPwDl2dU=";
const std::string kServerNonce = "%hvYDpWUa2RaTCAfuxFIlj)hNlF$k0";
const std::string kClientFirst = build_sasl_initial_response("SCRAM-SHA-256", "y,,n=user,r=rOprNGfwEbeRWgbNEkqO");
const std::string kClientFinal = build_sasl_response(
    "c=eSws,r=rOprNGfwEbeRWgbNEkqO%hvYDpWUa2RaTCAfuxFIlj)hNlF$k0,"
    "p=FoqiHTtQEDE8lz1CdaEe3tK4mS+iMDTl77SPyDS53DY=");
const std::string kAccepted = authentication(12, "v=dI4KpiQJwBr1+V+K6U1dA6l6I4I9DUNXWND4pcpRU3U=");

ScramVerifier verifier() {
  return *parse_scram_verifier(kVerifier);
}

ProxyUnderTest::Options joined() {
  return {.proxy = {.workers = 1},
          .verifier_source =
              [](const VerifierQuestion& question, const VerifierSink& sink) {
                CHECK(question.node == "a");
                CHECK(question.user == "alice");
                sink({.readable = true, .verifier = std::make_shared<const ScramVerifier>(verifier())});
              },
          .server_tls = {.mode = ServerTlsMode::kRequire, .ca = ""}};
}

// The server's side of one exchange, with the proxy.
class ScramServer {
 public:
  explicit ScramServer(PeerListener& listener) : peer_(asked_for_tls(listener)) {
    peer_.shake_hands();
    REQUIRE(peer_.receive(startup_message().size()) == startup_message());
    peer_.send(kOffer);
  }

  // Up to its proof. Returns what is to be challenged with.
  std::string challenge() {
    const std::string message = peer_.receive_message();
    const auto response = parse_sasl_initial_response(as_bytes(message));
    REQUIRE(response);
    CHECK(response->mechanism == "SCRAM-SHA-256-PLUS");
    const auto first = parse_scram_client_first(*response->data);
    REQUIRE(first);
    bare_ = first->bare;
    challenge_ = "r=" + std::string(first->nonce) + kServerNonce + ",s=W22ZaJ0SNY7soEsUEjb6gQ==,i=4096";
    peer_.send(authentication(11, challenge_));
    return authentication(11, challenge_);
  }

  // Whether the proof that comes is one; if so, AuthenticationSASLFinal is sent, and what is said behind it.
  bool accept_proof(const std::string& behind) {
    const std::string message = peer_.receive_message();
    const auto final = parse_scram_client_final(sasl_response(as_bytes(message)));
    REQUIRE(final);
    const std::string auth_message = bare_ + "," + challenge_ + "," + std::string(final->without_proof);
    if (!recover_client_key(verifier(), auth_message, final->proof)) return false;
    peer_.send(authentication(12, "v=" + scram_server_signature(verifier(), auth_message)) + behind);
    return true;
  }

  TlsPeer& peer() { return peer_; }

 private:
  TlsPeer peer_;
  std::string bare_;
  std::string challenge_;
};

// A client up to its proof.
void prove(Peer& client, ScramServer& server) {
  const std::string offer = authentication(10, "SCRAM-SHA-256\0\0"sv);
  REQUIRE(client.receive(offer.size()) == offer);
  for (const char byte : kClientFirst) client.send(std::string(1, byte));
  const std::string challenge = server.challenge();
  REQUIRE(client.receive(challenge.size()) == challenge);
  for (const char byte : kClientFinal) client.send(std::string(1, byte));
}

void check_logged_in(Peer& client, const std::string& before) {
  const std::string answer = before + login_answer();
  CHECK(client.receive(answer.size()) == answer);
}

}  // namespace

TEST_CASE("a joined exchange, with everything byte by byte, and what a client sends ahead stays its own") {
  ProxyUnderTest proxy(joined());
  proxy.route_to_a(1);
  Peer client = proxy.connect();
  client.send(startup_message());
  ScramServer server(proxy.a);
  prove(client, server);
  client.send(query("sent ahead"));
  REQUIRE(server.accept_proof(login_answer()));
  check_logged_in(client, kAccepted);
  CHECK(server.peer().receive(query("sent ahead").size()) == query("sent ahead"));
}

TEST_CASE("whoever has proven itself is logged in again, and sees nothing of it") {
  ProxyUnderTest proxy(joined());
  proxy.route_to_a(1);
  Peer client = proxy.connect();
  client.send(startup_message());
  SUBCASE("the server is lost when it gets the proof") {
    {
      ScramServer lost(proxy.a);
      prove(client, lost);
      lost.peer().receive_message();
    }
    ScramServer server(proxy.a);
    server.challenge();
    REQUIRE(server.accept_proof(login_answer()));
    check_logged_in(client, kAccepted);
  }
  SUBCASE("the server is a standby") {
    {
      ScramServer standby(proxy.a);
      prove(client, standby);
      REQUIRE(standby.accept_proof(login_answer(1, "abcd", "on")));
      CHECK(client.receive(kAccepted.size()) == kAccepted);
      standby.peer().receive_to_end();
    }
    ScramServer server(proxy.a);
    server.challenge();
    REQUIRE(server.accept_proof(login_answer()));
    check_logged_in(client, "");
  }
  SUBCASE("the server stops, and the next one trusts") {
    {
      ScramServer stopping(proxy.a);
      prove(client, stopping);
      stopping.peer().receive_message();
      stopping.peer().send(report('E', "FATAL", "57P01", "terminating connection"));
    }
    TlsPeer server = asked_for_tls(proxy.a);
    server.shake_hands();
    server.receive(startup_message().size());
    server.send(login_answer());
    check_logged_in(client, kAccepted);
  }
  SUBCASE("the server is lost, and the next one wants an md5 password: 08001") {
    {
      ScramServer lost(proxy.a);
      prove(client, lost);
      lost.peer().receive_message();
    }
    TlsPeer server = asked_for_tls(proxy.a);
    server.shake_hands();
    server.receive(startup_message().size());
    server.send(authentication(5, "salt"));
    const auto error = last_error(client.receive_to_end());
    CHECK(error.field('C') == "08001");
    CHECK(error.field('M').find("another method of authentication") != std::string::npos);
  }
}

TEST_CASE("a server that is lost before the client has proven anything ends the login with 08001") {
  ProxyUnderTest proxy(joined());
  proxy.route_to_a(1);
  Peer client = proxy.connect();
  client.send(startup_message());
  {
    ScramServer server(proxy.a);
    const std::string offer = authentication(10, "SCRAM-SHA-256\0\0"sv);
    REQUIRE(client.receive(offer.size()) == offer);
    client.send(kClientFirst);
    client.receive(server.challenge().size());
  }
  CHECK(last_error(client.receive_to_end()).field('C') == "08001");
}

TEST_CASE("a wrong proof is a wrong proof to the server too, whose answer the client gets") {
  ProxyUnderTest proxy(joined());
  proxy.route_to_a(1);
  Peer client = proxy.connect();
  client.send(startup_message());
  ScramServer server(proxy.a);
  const std::string offer = authentication(10, "SCRAM-SHA-256\0\0"sv);
  REQUIRE(client.receive(offer.size()) == offer);
  client.send(kClientFirst);
  client.receive(server.challenge().size());
  std::string wrong = kClientFinal;
  wrong[wrong.size() - 5] = wrong[wrong.size() - 5] == 'A' ? 'B' : 'A';
  client.send(wrong);
  CHECK_FALSE(server.accept_proof(""));
  const std::string refusal = report('E', "FATAL", "28P01", "password authentication failed for user \"alice\"");
  server.peer().send(refusal);
  server.peer().peer().close();
  CHECK(client.receive_to_end() == refusal);
}

TEST_CASE("a client that talks of something else inside an exchange is refused") {
  for (const std::string& noise : {query("select 1"), message('p', std::string(9000, 'x')), "p" + int32_bytes(3),
                                   message('p', "SCRAM-SHA-256-PLUS\0\0\0\0\0"sv)}) {
    ProxyUnderTest proxy(joined());
    proxy.route_to_a(1);
    Peer client = proxy.connect();
    client.send(startup_message());
    ScramServer server(proxy.a);
    const std::string offer = authentication(10, "SCRAM-SHA-256\0\0"sv);
    REQUIRE(client.receive(offer.size()) == offer);
    client.send(noise);
    CHECK(last_error(client.receive_to_end()).field('C') == "08P01");
  }
}

TEST_CASE("where verifiers could be read lately, a client costs no question before it speaks") {
  std::atomic<int> questions = 0;
  ProxyUnderTest::Options options = with_tls(ClientTlsMode::kAllow, {.workers = 1});
  options.verifier_source = [&](const VerifierQuestion&, const VerifierSink& sink) {
    ++questions;
    sink({.readable = true, .verifier = std::make_shared<const ScramVerifier>(verifier())});
  };
  ProxyUnderTest proxy(options);
  proxy.route_to_a(1);
  for (int login = 1; login <= 2; ++login) {
    TlsPeer client = encrypted(proxy);
    client.send(startup_message());
    Peer server = proxy.a.accept();
    server.receive(startup_message().size());
    server.send(authentication(10, "SCRAM-SHA-256\0\0"sv));
    CHECK(client.receive(kOffer.size()) == kOffer);
    CHECK(questions == 1);
  }
}
