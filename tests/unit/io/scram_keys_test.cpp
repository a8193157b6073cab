// The arithmetic of SCRAM-SHA-256, with the example of RFC 7677.
#include "proxy/io/scram_keys.h"

#include <string>

#include <doctest/doctest.h>

using namespace pgkeel;

namespace {

const std::string kVerifier =
    "SCRAM-SHA-256$4096:W22ZaJ0SNY7soEsUEjb6gQ==$WG5d8oPm3OtcPnkdi4Uo7BkeZkBFzpcXkuLmtbsT4qY=:"
    "wfPLwcE6nTWhTAmQ7tl2KeoiWGPlZqQxSrmfPwDl2dU=";
const std::string kAuthMessage =
    "n=user,r=rOprNGfwEbeRWgbNEkqO,r=rOprNGfwEbeRWgbNEkqO%hvYDpWUa2RaTCAfuxFIlj)hNlF$k0,s=W22ZaJ0SNY7soEsUEjb6gQ==,"
    "i=4096,c=biws,r=rOprNGfwEbeRWgbNEkqO%hvYDpWUa2RaTCAfuxFIlj)hNlF$k0";
const std::string kProof = "dHzbZapWIk4jUhN+Ute9ytag9zjfMHgsqmmiz7AndVQ=";
const std::string kClientKey = "pg/JI9Z+hkSpLRa5btpe9GVrDHJcSEN0viVTVXaZbos=";

}  // namespace

TEST_CASE("the client's proof reveals its key to who has the verifier, and proves the same again") {
  const auto verifier = parse_scram_verifier(kVerifier);
  REQUIRE(verifier);
  const auto key = recover_client_key(*verifier, kAuthMessage, kProof);
  REQUIRE(key);
  CHECK(to_base64(key->text()) == kClientKey);
  CHECK(scram_client_proof(*key, kAuthMessage) == kProof);
  CHECK(scram_server_signature(*verifier, kAuthMessage) == "6rriTRBi23WpRR/wtup+mMhUZUn/dB5nLTJRsjl95G4=");
}

TEST_CASE("a proof that is wrong in any bit, or of another exchange, reveals nothing") {
  const auto verifier = parse_scram_verifier(kVerifier);
  REQUIRE(verifier);
  for (std::size_t at = 0; at + 2 < kProof.size(); ++at) {
    std::string wrong = kProof;
    wrong[at] = wrong[at] == 'A' ? 'B' : 'A';
    CHECK_FALSE(recover_client_key(*verifier, kAuthMessage, wrong));
  }
  CHECK_FALSE(recover_client_key(*verifier, kAuthMessage + "x", kProof));
  for (const char* no_proof : {"", "=", "AAAA", "dHzbZapWIk4jUhN+Ute9ytag9zjfMHgsqmmiz7AndVQ", "????"})
    CHECK_FALSE(recover_client_key(*verifier, kAuthMessage, no_proof));
  CHECK(random_scram_key().text() != random_scram_key().text());
  CHECK(random_scram_nonce().size() == 24);
}

TEST_CASE("verifiers of any iteration count and salt, and what is none") {
  const std::string keys = kVerifier.substr(kVerifier.rfind('$'));
  for (const char* good : {"1:AA==", "4096:W22ZaJ0SNY7soEsUEjb6gQ==", "2147483647:W22ZaJ0SNY7soEsUEjb6gQ==AAAA"}) {
    const std::string text = "SCRAM-SHA-256$" + std::string(good) + keys;
    // Padding inside is none that base64 knows.
    CHECK(parse_scram_verifier(text).has_value() == (std::string(good).find("==A") == std::string::npos));
  }
  for (const char* bad : {"0:AA==", "-1:AA==", "x:AA==", ":AA==", "4096", "4096:", "99999999999:AA==", "4096:A"})
    CHECK_FALSE(parse_scram_verifier("SCRAM-SHA-256$" + std::string(bad) + keys));
  for (std::size_t size = 0; size < kVerifier.size(); ++size)
    CHECK_FALSE(parse_scram_verifier(kVerifier.substr(0, size)));
  CHECK_FALSE(parse_scram_verifier(kVerifier + "A"));
  CHECK_FALSE(parse_scram_verifier("md53175bce1d3201d16594cebf9d7eb3f9d"));
  CHECK_FALSE(parse_scram_verifier("scram-sha-256$" + kVerifier.substr(14)));
}

TEST_CASE("base64, there and back, and strictly") {
  for (const std::string& text : {std::string(), std::string("f"), std::string("fo"), std::string("foo"),
                                  std::string("foob"), std::string("\0\xff\x80", 3)}) {
    CHECK(from_base64(to_base64(text)) == text);
  }
  CHECK(to_base64("foobar") == "Zm9vYmFy");
  for (const char* bad : {"Zg=", "Zg", "Zg== ", " Zg==", "Zg==Zg==", "Z\n==", "Z===", "===="})
    CHECK_FALSE(from_base64(bad));
}
