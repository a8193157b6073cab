// The cryptography of SCRAM-SHA-256 (RFC 5802, section 3; RFC 7677). Any thread; no I/O. What is secret is wiped when
// its object goes, and is compared in constant time.
#pragma once

#include <array>
#include <cstddef>
#include <optional>
#include <string>
#include <string_view>

namespace pgkeel {

constexpr std::size_t kScramKeyBytes = 32;

// Overwrites a text that held a secret.
void wipe(std::string& text);

class ScramKey {
 public:
  ScramKey() = default;
  ScramKey(const ScramKey&) = default;
  ScramKey& operator=(const ScramKey&) = default;
  ~ScramKey();

  [[nodiscard]] unsigned char* data() { return bytes_.data(); }
  [[nodiscard]] const unsigned char* data() const { return bytes_.data(); }
  [[nodiscard]] std::string_view text() const { return {reinterpret_cast<const char*>(bytes_.data()), bytes_.size()}; }

 private:
  std::array<unsigned char, kScramKeyBytes> bytes_{};
};

// What a server stores of a password. Nobody can log in with it, but recognize who can.
struct ScramVerifier {
  ScramKey stored_key;
  ScramKey server_key;
};

// "SCRAM-SHA-256$<iterations>:<salt>$<StoredKey>:<ServerKey>", as pg_authid.rolpassword has it. Nothing: a password in
// another form (md5), or none that could be read.
std::optional<ScramVerifier> parse_scram_verifier(std::string_view text);

// The client's key, which its proof reveals to who has the verifier. Nothing: the proof (base64) is wrong.
std::optional<ScramKey> recover_client_key(const ScramVerifier& verifier, std::string_view auth_message,
                                           std::string_view proof);

// In base64: what a client proves that it knows `client_key` with; and what a server does that it has the verifier.
std::string scram_client_proof(const ScramKey& client_key, std::string_view auth_message);
std::string scram_server_signature(const ScramVerifier& verifier, std::string_view auth_message);

// Random, for a nonce or for a proof that proves nothing.
ScramKey random_scram_key();
std::string random_scram_nonce();

std::string to_base64(std::string_view bytes);
std::optional<std::string> from_base64(std::string_view text);  // strictly, padded

}  // namespace pgkeel
