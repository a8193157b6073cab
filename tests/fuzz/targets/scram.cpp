// SCRAM: its messages, and an exchange that is joined with another one, with words of both sides at any time. A client
// is proven only by the right proof.
#include <memory>
#include <string>

#include "proxy/io/scram_keys.h"
#include "proxy/upstream/scram_bridge.h"
#include "proxy/wire/scram_messages.h"
#include "tests/fuzz/targets/fuzz_input.h"
#include "tests/support/wire_messages.h"

using namespace pgkeel;
using pgkeel::fuzz::require;
using Step = ScramBridge::Step;

namespace {

// What a server stores of the client's key of thirty-two ones.
constexpr std::string_view kVerifier =
    "SCRAM-SHA-256$4096:W22ZaJ0SNY7soEsUEjb6gQ==$cs1uhCLEB/ttCYaQ8RMLfe1+wvf14dML2dUh8BU2N5M=:"
    "AgICAgICAgICAgICAgICAgICAgICAgICAgICAgICAgI=";

ScramKey client_key() {
  ScramKey key;
  std::fill_n(key.data(), kScramKeyBytes, static_cast<unsigned char>(1));
  return key;
}

void read_texts(std::string_view text) {
  const auto inside = [&](std::string_view part) {
    return part.empty() || (part.data() >= text.data() && part.data() + part.size() <= text.data() + text.size());
  };
  if (const auto first = parse_scram_client_first(text)) {
    require(inside(first->nonce) && inside(first->binding_type), "a part from elsewhere");
    require(std::string(first->gs2_header) + std::string(first->bare) == text, "parts that are not the whole");
  }
  if (const auto first = parse_scram_server_first(text)) require(inside(first->nonce), "a nonce from elsewhere");
  if (const auto final = parse_scram_client_final(text)) {
    require(std::string(final->without_proof) + ",p=" + std::string(final->proof) == text, "parts are not the whole");
    require(!recover_client_key(*parse_scram_verifier(kVerifier), text, final->proof), "a proof by chance");
  }
  if (const auto signature = parse_scram_server_final(text)) require(inside(*signature), "a signature from elsewhere");
  (void)parse_scram_verifier(text);
  if (const auto bytes = from_base64(text))
    require(from_base64(to_base64(*bytes)) == bytes, "base64 that is not what it was made of");
}

// One exchange, and what the right proof in it needs.
class Exchange {
 public:
  Exchange(ScramBridge::Channel client, ScramBridge::Channel server)
      : client_(client),
        bridge_(std::move(client), std::move(server)),
        verifier_(std::make_shared<const ScramVerifier>(*parse_scram_verifier(kVerifier))) {}

  // False: it is over.
  bool take_step(fuzz::Input& input) {
    const Step step = play(input);
    require(!bridge_.client_is_proven() || proof_was_given_, "proven without a proof");
    if (step.kind == Step::Kind::kTellServer) require(step.text.size() >= 5, "half a message");
    if (step.kind == Step::Kind::kTellClient && step.text.starts_with('R') && step.text.size() > 9)
      server_first_ = step.text.substr(9);
    if (step.kind == Step::Kind::kRefuse) require(!step.refusal.message.empty(), "refused without a word");
    return step.kind != Step::Kind::kRefuse && step.kind != Step::Kind::kPassOn;
  }

 private:
  Step play(fuzz::Input& input) {
    using wire_test::authentication;
    switch (input.byte() % 12) {
      case 0:
        return bridge_.server_offers(as_bytes(authentication(kAuthenticationSasl, input.short_text())));
      case 1:
        return bridge_.verifier_is_here({.readable = input.byte() % 4 != 0, .verifier = verifier_});
      case 2:
        return bridge_.verifier_is_here({.readable = true, .verifier = nullptr});
      case 3: {
        const std::string_view mechanism = input.short_text();
        client_first_ = input.short_text();
        return bridge_.client_says(as_bytes(build_sasl_initial_response(mechanism, client_first_)));
      }
      case 4:
        return bridge_.client_says(as_bytes(build_sasl_response(input.short_text())));
      case 5:
        return bridge_.server_challenges(as_bytes(authentication(kAuthenticationSaslContinue, input.short_text())));
      case 6:
        return bridge_.server_accepts(as_bytes(authentication(kAuthenticationSaslFinal, input.short_text())));
      case 7:
        return bridge_.client_says(as_bytes(wire_test::message('p', input.short_text())));
      case 8:
        return bridge_.server_challenges(as_bytes(wire_test::message('R', input.short_text())));
      case 9:
        return bridge_.server_offers(as_bytes(wire_test::message('R', input.short_text())));
      case 10:
        return prove();
      default:
        if (bridge_.client_is_proven()) bridge_.begin_again({.encrypted = true, .end_point_hash = "three"});
        return {.kind = Step::Kind::kAskForVerifier};
    }
  }

  // Of a client that has the key.
  Step prove() {
    const auto client_first = parse_scram_client_first(client_first_);
    const auto server_first = parse_scram_server_first(server_first_);
    if (!client_first || !server_first) return {.kind = Step::Kind::kAskForVerifier};
    std::string binding(client_first->gs2_header);
    if (client_first->binding == 'p') binding += client_.end_point_hash;
    const std::string without_proof = "c=" + to_base64(binding) + ",r=" + std::string(server_first->nonce);
    const std::string auth_message = std::string(client_first->bare) + "," + server_first_ + "," + without_proof;
    proof_was_given_ = true;
    return bridge_.client_says(
        as_bytes(build_sasl_response(without_proof + ",p=" + scram_client_proof(client_key(), auth_message))));
  }

  ScramBridge::Channel client_;
  ScramBridge bridge_;
  std::shared_ptr<const ScramVerifier> verifier_;
  std::string client_first_;
  std::string server_first_;
  bool proof_was_given_ = false;
};

void play_exchange(fuzz::Input& input) {
  const ScramBridge::Channel channels[] = {{}, {true, "one"}, {true, "two"}, {true, ""}};
  const std::uint8_t chosen = input.byte();
  Exchange exchange(channels[chosen & 3U], channels[chosen >> 2 & 3U]);
  for (int steps = 0; steps < 40 && !input.empty(); ++steps) {
    if (!exchange.take_step(input)) return;
  }
}

}  // namespace

int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  fuzz::Input input(data, size);
  if (input.byte() % 2 == 0)
    read_texts(input.all());
  else
    play_exchange(input);
  return 0;
}
