// Two SCRAM exchanges that are one password's: what each side hears, in every combination of TLS. The client is that of
// RFC 7677 (user "user", password "pencil"), its messages are constants.
#include "proxy/upstream/scram_bridge.h"

#include <string>

#include <doctest/doctest.h>

#include "proxy/wire/scram_messages.h"
#include "tests/support/wire_messages.h"

using namespace pgkeel;
using namespace pgkeel::wire_test;
using namespace std::string_literals;

namespace {

using Channel = ScramBridge::Channel;
using Kind = ScramBridge::Step::Kind;
using Step = ScramBridge::Step;

const std::string kPlain = authentication(10, "SCRAM-SHA-256\0\0"sv);
const std::string kBoth = authentication(10, "SCRAM-SHA-256-PLUS\0SCRAM-SHA-256\0\0"sv);
const std::string kVerifier =
    "SCRAM-SHA-256$4096:W22ZaJ0SNY7soEsUEjb6gQ==$WG5d8oPm3OtcPnkdi4Uo7BkeZkBFzpcXkuLmtbsT4qY=:"
    "wfPLwcE6nTWhTAmQ7tl2KeoiWGPlZqQxSrmfPwDl2dU=";
const std::string kBare = "n=user,r=rOprNGfwEbeRWgbNEkqO";
const std::string kNonce = "rOprNGfwEbeRWgbNEkqO%hvYDpWUa2RaTCAfuxFIlj)hNlF$k0";
const std::string kChallenge = "r=" + kNonce + ",s=W22ZaJ0SNY7soEsUEjb6gQ==,i=4096";
// Of a client that thinks that the server cannot bind, and of one that has bound to "client-side-hash".
const std::string kFinalY = "c=eSws,r=" + kNonce + ",p=FoqiHTtQEDE8lz1CdaEe3tK4mS+iMDTl77SPyDS53DY=";
const std::string kAcceptY = "v=dI4KpiQJwBr1+V+K6U1dA6l6I4I9DUNXWND4pcpRU3U=";
const std::string kFinalBound = "c=cD10bHMtc2VydmVyLWVuZC1wb2ludCwsY2xpZW50LXNpZGUtaGFzaA==,r=" + kNonce +
                                ",p=Yq+PyPsi2qwvYJnKy9st9zbgpHaR3WlH+w4AulQOBao=";
const std::string kAcceptBound = "v=1K744UTjTTg/3iKj0moyFSBgFtXxjO3MIonq3Cyzu8c=";
constexpr std::string_view kBound = "p=tls-server-end-point,,";

const Channel kClear;
const Channel kClientTls{true, "client-side-hash"};
const Channel kServerTls{true, "server-side-hash"};

VerifierAnswer known() {
  return {.readable = true, .verifier = std::make_shared<const ScramVerifier>(*parse_scram_verifier(kVerifier))};
}

std::string client_first(std::string_view mechanism, std::string_view gs2_header) {
  return build_sasl_initial_response(mechanism, std::string(gs2_header) + kBare);
}

Step offers(ScramBridge& bridge, const std::string& message) {
  return bridge.server_offers(as_bytes(message));
}
Step says(ScramBridge& bridge, const std::string& message) {
  return bridge.client_says(as_bytes(message));
}
Step challenges(ScramBridge& bridge, const std::string& data) {
  return bridge.server_challenges(as_bytes(authentication(11, data)));
}
Step accepts(ScramBridge& bridge, const std::string& data) {
  return bridge.server_accepts(as_bytes(authentication(12, data)));
}

void check_tells_client(const Step& step, const std::string& message) {
  CHECK(step.kind == Kind::kTellClient);
  CHECK(step.text == message);
}
void check_tells_server(const Step& step, const std::string& message) {
  CHECK(step.kind == Kind::kTellServer);
  CHECK(step.text == message);
}
void check_refused(const Step& step, SqlState sqlstate, std::string_view why) {
  CHECK(step.kind == Kind::kRefuse);
  CHECK(step.refusal.sqlstate == sqlstate);
  CHECK_MESSAGE(step.refusal.message.find(why) != std::string::npos, step.refusal.message);
}

// The server's side of it: checks the proof, and returns what it accepts with; empty: it does not.
std::string server_checks(const Step& step, const std::string& bare, const std::string& challenge,
                          const std::string& binding) {
  REQUIRE(step.kind == Kind::kTellServer);
  const auto final = parse_scram_client_final(sasl_response(as_bytes(step.text)));
  REQUIRE(final);
  CHECK(from_base64(final->binding) == binding);
  const std::string auth_message = bare + "," + challenge + "," + std::string(final->without_proof);
  const auto verifier = known().verifier;
  if (!recover_client_key(*verifier, auth_message, final->proof)) return {};
  return "v=" + scram_server_signature(*verifier, auth_message);
}

// A bound client up to its proof. Returns what the server is told then.
Step prove_bound(ScramBridge& bridge, VerifierAnswer answer, const std::string& final = kFinalBound) {
  REQUIRE(offers(bridge, kBoth).kind == Kind::kAskForVerifier);
  check_tells_client(bridge.verifier_is_here(std::move(answer)), kBoth);
  check_tells_server(says(bridge, client_first(kScramSha256Plus, kBound)), client_first(kScramSha256Plus, kBound));
  check_tells_client(challenges(bridge, kChallenge), authentication(11, kChallenge));
  return says(bridge, build_sasl_response(final));
}

}  // namespace

TEST_CASE("TLS on both sides: the client binds to its channel, and we to ours") {
  ScramBridge bridge(kClientTls, kServerTls);
  const std::string accept =
      server_checks(prove_bound(bridge, known()), kBare, kChallenge, std::string(kBound) + "server-side-hash");
  REQUIRE_FALSE(accept.empty());
  CHECK(bridge.client_is_proven());
  check_tells_client(accepts(bridge, accept), authentication(12, kAcceptBound));
}

TEST_CASE("TLS with the client alone: binding is offered to it, and the server hears of none") {
  ScramBridge bridge(kClientTls, kClear);
  REQUIRE(offers(bridge, kPlain).kind == Kind::kAskForVerifier);
  check_tells_client(bridge.verifier_is_here(known()), kBoth);
  check_tells_server(says(bridge, client_first(kScramSha256Plus, kBound)), client_first(kScramSha256, "n,,"));
  challenges(bridge, kChallenge);
  const std::string accept = server_checks(says(bridge, build_sasl_response(kFinalBound)), kBare, kChallenge, "n,,");
  check_tells_client(accepts(bridge, accept), authentication(12, kAcceptBound));
}

TEST_CASE(
    "TLS with the server alone: binding is not offered, and what a client says of that does not reach the server") {
  ScramBridge bridge(kClear, kServerTls);
  check_tells_client(offers(bridge, kBoth), kPlain);
  SUBCASE("n passes through") {
    CHECK(says(bridge, client_first(kScramSha256, "n,,")).kind == Kind::kPassOn);
  }
  SUBCASE("y is joined: the server would take it for an attack") {
    CHECK(says(bridge, client_first(kScramSha256, "y,,")).kind == Kind::kAskForVerifier);
    check_tells_server(bridge.verifier_is_here(known()), client_first(kScramSha256Plus, kBound));
    challenges(bridge, kChallenge);
    const std::string accept = server_checks(says(bridge, build_sasl_response(kFinalY)), kBare, kChallenge,
                                             std::string(kBound) + "server-side-hash");
    check_tells_client(accepts(bridge, accept), authentication(12, kAcceptY));
  }
  SUBCASE("y without the right to read verifiers") {
    says(bridge, client_first(kScramSha256, "y,,"));
    check_refused(bridge.verifier_is_here({.readable = false, .problem = "may not"}), SqlState::kCannotConnect,
                  "may not");
  }
  SUBCASE("PLUS that was not offered") {
    check_refused(says(bridge, client_first(kScramSha256Plus, kBound)), SqlState::kProtocolViolation, "invalid SASL");
  }
}

TEST_CASE("no TLS at all, one certificate on both sides, other methods: all passes through") {
  ScramBridge in_clear(kClear, kClear);
  CHECK(offers(in_clear, kPlain).kind == Kind::kPassOn);
  ScramBridge same_certificate(kClientTls, kClientTls);
  CHECK(offers(same_certificate, kBoth).kind == Kind::kPassOn);
  for (const std::string& other :
       {authentication(10, "OAUTHBEARER\0\0"sv), authentication(10, "SCRAM"), authentication(10)}) {
    ScramBridge bridge(kClientTls, kServerTls);
    CHECK(offers(bridge, other).kind == Kind::kPassOn);
  }
  // Nothing to bind to: the certificate's signature has no hash.
  ScramBridge unhashed({true, ""}, kClear);
  CHECK(offers(unhashed, kPlain).kind == Kind::kPassOn);
}

TEST_CASE("a client with TLS that takes less than it is offered") {
  ScramBridge bridge(kClientTls, kServerTls);
  offers(bridge, kBoth);
  bridge.verifier_is_here(known());
  CHECK(says(bridge, client_first(kScramSha256, "n,,")).kind == Kind::kPassOn);
  check_refused(says(bridge, client_first(kScramSha256, "y,,")), SqlState::kNotAllowed, "negotiation error");
  check_refused(says(bridge, client_first(kScramSha256Plus, "n,,")), SqlState::kProtocolViolation, "malformed");
  check_refused(says(bridge, client_first(kScramSha256Plus, "p=tls-unique,,")), SqlState::kProtocolViolation,
                "channel-binding type");
  check_refused(says(bridge, message('p', "x")), SqlState::kProtocolViolation, "malformed");
}

TEST_CASE("without the right to read verifiers binding is not offered") {
  ScramBridge bridge(kClientTls, kServerTls);
  offers(bridge, kBoth);
  check_tells_client(bridge.verifier_is_here({.readable = false, .problem = "may not"}), kPlain);
  SUBCASE("n passes through") {
    CHECK(says(bridge, client_first(kScramSha256, "n,,")).kind == Kind::kPassOn);
  }
  SUBCASE("y is told why") {
    check_refused(says(bridge, client_first(kScramSha256, "y,,")), SqlState::kCannotConnect, "may not");
  }
}

TEST_CASE("who proves nothing is let prove nothing to the server, also where there is no such user") {
  const auto proves_nothing = [](ScramBridge& bridge, const Step& told) {
    CHECK(server_checks(told, kBare, kChallenge, std::string(kBound) + "server-side-hash").empty());
    CHECK_FALSE(bridge.client_is_proven());
    check_refused(accepts(bridge, "v=AAAA"), SqlState::kCannotConnect, "does not speak SCRAM");
  };
  SUBCASE("a wrong password") {
    std::string wrong = kFinalBound;
    wrong[wrong.size() - 3] = wrong[wrong.size() - 3] == 'A' ? 'B' : 'A';
    ScramBridge bridge(kClientTls, kServerTls);
    proves_nothing(bridge, prove_bound(bridge, known(), wrong));
  }
  SUBCASE("no such user, or none with a verifier") {
    ScramBridge bridge(kClientTls, kServerTls);
    proves_nothing(bridge, prove_bound(bridge, {.readable = true}));
  }
}

TEST_CASE("a channel that ends elsewhere, a nonce of another exchange, and noise are refused") {
  ScramBridge elsewhere({true, "another-hash"}, kServerTls);
  check_refused(prove_bound(elsewhere, known()), SqlState::kNotAllowed, "channel binding check failed");
  ScramBridge other_nonce(kClientTls, kServerTls);
  std::string final = kFinalBound;
  final.replace(final.find("%hv"), 3, "%hw");
  check_refused(prove_bound(other_nonce, known(), final), SqlState::kProtocolViolation, "nonce");
  ScramBridge noise(kClientTls, kServerTls);
  check_refused(prove_bound(noise, known(), "noise"), SqlState::kProtocolViolation, "malformed");
}

TEST_CASE("a server that does not continue our exchange, or has no verifier itself, gets nowhere") {
  ScramBridge bridge(kClientTls, kServerTls);
  offers(bridge, kBoth);
  bridge.verifier_is_here(known());
  says(bridge, client_first(kScramSha256Plus, kBound));
  for (const std::string& bad :
       {std::string("noise"), "r=another,s=AA==,i=4096"s, "r=rOprNGfwEbeRWgbNEkqO,s=AA==,i=4096"s})
    check_refused(challenges(bridge, bad), SqlState::kCannotConnect, "does not speak SCRAM");
  ScramBridge proven(kClientTls, kServerTls);
  prove_bound(proven, known());
  check_refused(accepts(proven, kAcceptBound), SqlState::kCannotConnect, "does not speak SCRAM");
}

TEST_CASE("whoever has proven itself is logged in again without a word of it") {
  ScramBridge bridge(kClientTls, kServerTls);
  prove_bound(bridge, known());
  REQUIRE(bridge.client_is_proven());
  // The server is lost before it accepts; the next one has another certificate, or no TLS.
  for (const Channel& next : {Channel{true, "next-hash"}, Channel{}}) {
    bridge.begin_again(next);
    const Step begun = offers(bridge, next.encrypted ? kBoth : kPlain);
    REQUIRE(begun.kind == Kind::kTellServer);
    const auto response = parse_sasl_initial_response(as_bytes(begun.text));
    REQUIRE(response);
    CHECK(response->mechanism == (next.encrypted ? kScramSha256Plus : kScramSha256));
    const auto first = parse_scram_client_first(*response->data);
    REQUIRE(first);
    CHECK(first->nonce != "rOprNGfwEbeRWgbNEkqO");
    const std::string challenge = "r=" + std::string(first->nonce) + "more,s=AAAA,i=1";
    const std::string accept = server_checks(challenges(bridge, challenge), std::string(first->bare), challenge,
                                             std::string(first->gs2_header) + (next.encrypted ? "next-hash" : ""));
    REQUIRE_FALSE(accept.empty());
    const Step accepted = accepts(bridge, accept);
    // Once, it is told that it is accepted, in terms of its own exchange.
    if (next.encrypted)
      check_tells_client(accepted, authentication(12, kAcceptBound));
    else
      check_tells_client(accepted, "");
  }
  CHECK(bridge.take_owed_to_client().empty());
}

TEST_CASE(
    "binding is offered without a verifier where verifiers could be read lately, and the client's words wait for it") {
  ScramBridge bridge(kClientTls, kClear);
  check_tells_client(bridge.server_offers(as_bytes(kPlain), true), kBoth);
  CHECK(says(bridge, client_first("SCRAM-SHA-256-PLUS", kBound)).kind == Kind::kAskForVerifier);
  SUBCASE("it is there") {
    CHECK(bridge.verifier_is_here(known()).kind == Kind::kTellServer);
  }
  SUBCASE("it cannot be read any more") {
    check_refused(bridge.verifier_is_here({.readable = false, .problem = "gone"}), SqlState::kCannotConnect, "gone");
  }
}

TEST_CASE("a client that does not bind needs no verifier, though binding was offered") {
  ScramBridge bridge(kClientTls, kClear);
  check_tells_client(bridge.server_offers(as_bytes(kPlain), true), kBoth);
  CHECK(says(bridge, client_first("SCRAM-SHA-256", "n,,")).kind == Kind::kPassOn);
}
