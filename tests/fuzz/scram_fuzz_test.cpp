// Random and damaged messages through everything that reads SCRAM.
#include <string>

#include "proxy/io/scram_keys.h"
#include "proxy/upstream/scram_bridge.h"
#include "proxy/wire/scram_messages.h"
#include "tests/fuzz/fuzz.h"
#include "tests/support/wire_messages.h"

using namespace pgkeel;
using namespace pgkeel::test;
using namespace pgkeel::wire_test;

namespace {

const std::string kVerifier =
    "SCRAM-SHA-256$4096:W22ZaJ0SNY7soEsUEjb6gQ==$WG5d8oPm3OtcPnkdi4Uo7BkeZkBFzpcXkuLmtbsT4qY=:"
    "wfPLwcE6nTWhTAmQ7tl2KeoiWGPlZqQxSrmfPwDl2dU=";

std::string damaged(Random& random, std::string text) {
  if (random.one_in(2)) random.damage(text);
  return text;
}

// Pieces of what was read must be pieces of the text.
void require_inside(std::string_view text, std::string_view part) {
  REQUIRE(part.data() >= text.data());
  REQUIRE(part.data() + part.size() <= text.data() + text.size());
}

}  // namespace

TEST_CASE("SCRAM messages") {
  for_seeds(20'000, [](std::uint64_t seed) {
    Random random(seed);
    const std::string first =
        damaged(random, random.one_in(2) ? "n,,n=,r=abcdef" : "p=tls-server-end-point,,n=u,r=abc");
    if (const auto parsed = parse_scram_client_first(first)) {
      REQUIRE(std::string(parsed->gs2_header) + std::string(parsed->bare) == first);
      require_inside(first, parsed->nonce);
    }
    const std::string final = damaged(random, "c=biws,r=abcdefghi,p=dHzbZapWIk4jUhN+Ute9ytag9zjfMHgsqmmiz7AndVQ=");
    if (const auto parsed = parse_scram_client_final(final)) {
      REQUIRE(std::string(parsed->without_proof) + ",p=" + std::string(parsed->proof) == final);
      REQUIRE_FALSE(recover_client_key(*parse_scram_verifier(kVerifier), final, parsed->proof));
    }
    (void)parse_scram_server_first(damaged(random, "r=abcdef,s=W22ZaJ0SNY7soEsUEjb6gQ==,i=4096"));
    (void)parse_scram_server_final(damaged(random, "v=AAAA"));
    (void)parse_scram_verifier(damaged(random, kVerifier));
    if (const auto bytes = from_base64(damaged(random, "W22ZaJ0SNY7soEsUEjb6gQ=="))) REQUIRE(bytes->size() <= 40);
    (void)parse_sasl_mechanisms(
        as_bytes(damaged(random, authentication(10, "SCRAM-SHA-256-PLUS\0SCRAM-SHA-256\0\0"sv))));
    (void)parse_sasl_initial_response(as_bytes(damaged(random, build_sasl_initial_response("SCRAM-SHA-256", first))));
  });
}

TEST_CASE("a joined exchange, with messages of anybody at any time") {
  for_seeds(10'000, [](std::uint64_t seed) {
    Random random(seed);
    const ScramBridge::Channel channels[] = {{}, {true, "one"}, {true, "two"}, {true, ""}};
    ScramBridge bridge(random.one_of(channels), random.one_of(channels));
    for (int step = 0; step < 12; ++step) {
      switch (random.below(6)) {
        case 0:
          bridge.server_offers(
              as_bytes(damaged(random, authentication(10, "SCRAM-SHA-256-PLUS\0SCRAM-SHA-256\0\0"sv))));
          break;
        case 1:
          bridge.verifier_is_here(
              {.readable = !random.one_in(4),
               .verifier =
                   random.one_in(2) ? std::make_shared<const ScramVerifier>(*parse_scram_verifier(kVerifier)) : nullptr,
               .problem = ""});
          break;
        case 2:
          bridge.client_says(
              as_bytes(damaged(random, build_sasl_initial_response(
                                           random.one_in(2) ? "SCRAM-SHA-256-PLUS" : "SCRAM-SHA-256",
                                           random.one_in(2) ? "p=tls-server-end-point,,n=,r=abc" : "y,,n=,r=abc"))));
          break;
        case 3:
          bridge.server_challenges(as_bytes(damaged(random, authentication(11, "r=abcdef,s=AAAA,i=1"))));
          break;
        case 4:
          bridge.client_says(as_bytes(damaged(random, build_sasl_response("c=eSws,r=abcdef,p=AAAA"))));
          break;
        default:
          bridge.server_accepts(as_bytes(damaged(random, authentication(12, "v=AAAA"))));
          break;
      }
      REQUIRE_FALSE(bridge.client_is_proven());
    }
  });
}
