#include "proxy/upstream/scram_bridge.h"

#include <algorithm>
#include <utility>

#include "proxy/base/secret.h"
#include "proxy/wire/scram_messages.h"

namespace pgkeel {
namespace {

using Step = ScramBridge::Step;

constexpr std::string_view kBoundGs2Header = "p=tls-server-end-point,,";

Step pass_on() {
  return {.kind = Step::Kind::kPassOn};
}
Step tell_server(std::string text) {
  return {.kind = Step::Kind::kTellServer, .text = std::move(text)};
}
Step tell_client(std::string text) {
  return {.kind = Step::Kind::kTellClient, .text = std::move(text)};
}
Step refuse(SqlState sqlstate, std::string message) {
  return {.kind = Step::Kind::kRefuse, .refusal = {sqlstate, std::move(message)}};
}
Step malformed() {
  return refuse(SqlState::kProtocolViolation, "malformed SCRAM message");
}
Step server_talks_nonsense() {
  return refuse(SqlState::kCannotConnect, "could not connect: the server does not speak SCRAM as it should");
}

}  // namespace

Step ScramBridge::server_offers(Bytes message, bool verifiers_can_be_read) {
  const auto mechanisms = parse_sasl_mechanisms(message);
  const auto offers = [&](std::string_view name) {
    return mechanisms && std::ranges::find(*mechanisms, name) != mechanisms->end();
  };
  server_offers_plus_ = offers(kScramSha256Plus);
  if (client_is_proven()) {
    if (!offers(kScramSha256) && !server_offers_plus_) return server_talks_nonsense();
    return begin_with_server();
  }
  if (!offers(kScramSha256)) return pass_on();
  const bool client_can_bind = !client_.end_point_hash.empty();
  // One certificate on both sides: what the client binds to is what the server expects.
  if (server_offers_plus_ && client_can_bind && client_.end_point_hash == server_.end_point_hash) return pass_on();
  if (client_can_bind && !verifiers_can_be_read) return {.kind = Step::Kind::kAskForVerifier};
  if (!client_can_bind && !server_offers_plus_) return pass_on();
  plus_offered_ = client_can_bind;
  return offer();
}

Step ScramBridge::offer() {
  stage_ = Stage::kAwaitingClientFirst;
  std::vector<std::string_view> mechanisms = {kScramSha256};
  if (plus_offered_) mechanisms.insert(mechanisms.begin(), kScramSha256Plus);
  return tell_client(build_sasl_mechanisms(mechanisms));
}

Step ScramBridge::verifier_is_here(VerifierAnswer answer) {
  verifier_ = std::move(answer);
  if (stage_ == Stage::kOffering) {
    plus_offered_ = verifier_->readable;
    return offer();
  }
  if (!verifier_->readable) {
    return refuse(
        SqlState::kCannotConnect,
        "could not connect: SCRAM cannot be bound to the server's channel for the client: " + verifier_->problem);
  }
  return begin_with_server();
}

Step ScramBridge::client_says(Bytes message) {
  if (stage_ == Stage::kAwaitingClientFirst) return take_client_first(message);
  if (stage_ == Stage::kClientFinal) return take_client_final(message);
  return refuse(SqlState::kProtocolViolation, "unexpected message of the client during authentication");
}

Step ScramBridge::take_client_first(Bytes message) {
  const auto response = parse_sasl_initial_response(message);
  if (!response) return malformed();
  const bool plus = response->mechanism == kScramSha256Plus;
  if (plus && !plus_offered_)
    return refuse(SqlState::kProtocolViolation, "client selected an invalid SASL authentication mechanism");
  if (!plus && response->mechanism != kScramSha256) return pass_on();
  const auto first = response->data ? parse_scram_client_first(*response->data) : std::nullopt;
  if (plus) {
    if (!first || first->binding != 'p') return malformed();
    if (first->binding_type != kTlsServerEndPoint)
      return refuse(SqlState::kProtocolViolation, "unsupported SCRAM channel-binding type");
  } else {
    // What is wrong with it, the server says.
    if (!first || first->binding != 'y') return pass_on();
    if (plus_offered_) {
      return refuse(SqlState::kNotAllowed,
                    "SCRAM channel binding negotiation error: the client supports it, but thinks the server does not");
    }
    // The client is right: here it has none. But its words must not reach a server that has, which would believe that
    // somebody in between has kept its offer from the client.
    if (!server_offers_plus_) return pass_on();
  }
  gs2_header_ = first->gs2_header;
  client_bare_ = first->bare;
  client_nonce_ = first->nonce;
  server_bare_ = client_bare_;
  server_nonce_ = client_nonce_;
  if (!verifier_) return {.kind = Step::Kind::kAskForVerifier};
  if (!verifier_->readable) return verifier_is_here(*verifier_);
  return begin_with_server();
}

Step ScramBridge::begin_with_server() {
  stage_ = Stage::kServerFirst;
  const bool bound = server_offers_plus_ && !server_.end_point_hash.empty();
  // y: it is known what TLS offers to both, and a server that can bind will see that its offer has been taken away.
  const bool would_bind = server_.encrypted && !server_offers_plus_ && !server_.end_point_hash.empty();
  const std::string gs2_header(bound ? kBoundGs2Header : would_bind ? "y,," : "n,,");
  server_binding_ = gs2_header + (bound ? server_.end_point_hash : std::string());
  return tell_server(build_sasl_initial_response(bound ? kScramSha256Plus : kScramSha256, gs2_header + server_bare_));
}

Step ScramBridge::server_challenges(Bytes message) {
  const std::string_view data = sasl_data(message);
  const auto first = parse_scram_server_first(data);
  const bool ours = first && first->nonce.size() > server_nonce_.size() && first->nonce.starts_with(server_nonce_);
  if (stage_ != Stage::kServerFirst || !ours) return server_talks_nonsense();
  server_first_ = data;
  server_nonce_ = first->nonce;
  if (client_is_proven()) return prove_to_server(*client_key_);
  client_server_first_ = data;
  stage_ = Stage::kClientFinal;
  return tell_client(std::string(as_text(message)));
}

Step ScramBridge::take_client_final(Bytes message) {
  const auto final = parse_scram_client_final(sasl_response(message));
  if (!final) return malformed();
  if (final->nonce != server_nonce_)
    return refuse(SqlState::kProtocolViolation, "invalid SCRAM response: nonce does not match");
  const std::string expected = gs2_header_ + (gs2_header_.starts_with('p') ? client_.end_point_hash : std::string());
  const auto binding = from_base64(final->binding);
  if (!binding || !equal_in_constant_time(*binding, expected))
    return refuse(SqlState::kNotAllowed, "SCRAM channel binding check failed");
  client_auth_message_ = client_bare_ + "," + client_server_first_ + "," + std::string(final->without_proof);
  if (verifier_->verifier) client_key_ = recover_client_key(*verifier_->verifier, client_auth_message_, final->proof);
  return prove_to_server(client_key_ ? *client_key_ : random_scram_key());
}

Step ScramBridge::prove_to_server(const ScramKey& key) {
  stage_ = Stage::kServerFinal;
  const std::string without_proof = "c=" + to_base64(server_binding_) + ",r=" + server_nonce_;
  server_auth_message_ = server_bare_ + "," + server_first_ + "," + without_proof;
  return tell_server(build_sasl_response(without_proof + ",p=" + scram_client_proof(key, server_auth_message_)));
}

Step ScramBridge::server_accepts(Bytes message) {
  const auto signature = parse_scram_server_final(sasl_data(message));
  // It must have what it stores, too: who only pretends to be the server does not.
  const bool right =
      stage_ == Stage::kServerFinal && client_is_proven() && signature &&
      equal_in_constant_time(*signature, scram_server_signature(*verifier_->verifier, server_auth_message_));
  if (!right) return server_talks_nonsense();
  return tell_client(take_owed_to_client());
}

void ScramBridge::begin_again(Channel server) {
  server_ = std::move(server);
  server_nonce_ = random_scram_nonce();
  server_bare_ = "n=,r=" + server_nonce_;
}

std::string ScramBridge::take_owed_to_client() {
  if (std::exchange(client_told_, true)) return {};
  return build_sasl_final("v=" + scram_server_signature(*verifier_->verifier, client_auth_message_));
}

}  // namespace pgkeel
