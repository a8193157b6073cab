#include "proxy/io/scram_keys.h"

#include <algorithm>
#include <cassert>
#include <charconv>
#include <cstring>

#include <openssl/crypto.h>
#include <openssl/evp.h>
#include <openssl/hmac.h>
#include <openssl/rand.h>
#include <openssl/sha.h>

#include "proxy/base/secret.h"

namespace pgkeel {
namespace {

constexpr std::string_view kPrefix = "SCRAM-SHA-256$";
constexpr std::size_t kNonceBytes = 18;  // as libpq's

ScramKey hmac(const ScramKey& key, std::string_view text) {
  ScramKey out;
  unsigned size = 0;
  const auto* done = HMAC(EVP_sha256(), key.data(), static_cast<int>(kScramKeyBytes),
                          reinterpret_cast<const unsigned char*>(text.data()), text.size(), out.data(), &size);
  assert(done != nullptr && size == kScramKeyBytes);
  return out;
}

ScramKey hash_of(const ScramKey& key) {
  ScramKey out;
  SHA256(key.data(), kScramKeyBytes, out.data());
  return out;
}

ScramKey exclusive_or(const ScramKey& left, const ScramKey& right) {
  ScramKey out;
  for (std::size_t at = 0; at < kScramKeyBytes; ++at)
    out.data()[at] = static_cast<unsigned char>(left.data()[at] ^ right.data()[at]);
  return out;
}

std::optional<ScramKey> key_in(std::string_view base64) {
  auto bytes = from_base64(base64);
  if (!bytes) return std::nullopt;
  std::optional<ScramKey> key;
  if (bytes->size() == kScramKeyBytes) {
    key.emplace();
    std::memcpy(key->data(), bytes->data(), kScramKeyBytes);
  }
  wipe(*bytes);
  return key;
}

bool is_base64_letter(char c) {
  return (c >= 'A' && c <= 'Z') || (c >= 'a' && c <= 'z') || (c >= '0' && c <= '9') || c == '+' || c == '/';
}

}  // namespace

void wipe(std::string& text) {
  OPENSSL_cleanse(text.data(), text.size());
  text.clear();
}

ScramKey::~ScramKey() {
  OPENSSL_cleanse(bytes_.data(), bytes_.size());
}

std::optional<ScramVerifier> parse_scram_verifier(std::string_view text) {
  if (!text.starts_with(kPrefix)) return std::nullopt;
  text.remove_prefix(kPrefix.size());
  const std::size_t colon = text.find(':');
  const std::size_t dollar = text.find('$');
  if (colon == std::string_view::npos || dollar == std::string_view::npos || colon > dollar) return std::nullopt;
  int iterations = 0;
  const auto [end, error] = std::from_chars(text.data(), text.data() + colon, iterations);
  if (error != std::errc{} || end != text.data() + colon || iterations < 1) return std::nullopt;
  const auto salt = from_base64(text.substr(colon + 1, dollar - colon - 1));
  if (!salt || salt->empty()) return std::nullopt;
  const std::string_view keys = text.substr(dollar + 1);
  const std::size_t between = keys.find(':');
  if (between == std::string_view::npos) return std::nullopt;
  const auto stored_key = key_in(keys.substr(0, between));
  const auto server_key = key_in(keys.substr(between + 1));
  if (!stored_key || !server_key) return std::nullopt;
  return ScramVerifier{*stored_key, *server_key};
}

std::optional<ScramKey> recover_client_key(const ScramVerifier& verifier, std::string_view auth_message,
                                           std::string_view proof) {
  const auto proof_bytes = key_in(proof);
  if (!proof_bytes) return std::nullopt;
  const ScramKey client_key = exclusive_or(*proof_bytes, hmac(verifier.stored_key, auth_message));
  if (!equal_in_constant_time(hash_of(client_key).text(), verifier.stored_key.text())) return std::nullopt;
  return client_key;
}

std::string scram_client_proof(const ScramKey& client_key, std::string_view auth_message) {
  return to_base64(exclusive_or(client_key, hmac(hash_of(client_key), auth_message)).text());
}

std::string scram_server_signature(const ScramVerifier& verifier, std::string_view auth_message) {
  return to_base64(hmac(verifier.server_key, auth_message).text());
}

ScramKey random_scram_key() {
  ScramKey key;
  const int done = RAND_bytes(key.data(), static_cast<int>(kScramKeyBytes));
  assert(done == 1);
  return key;
}

std::string random_scram_nonce() {
  return to_base64(random_scram_key().text().substr(0, kNonceBytes));
}

std::string to_base64(std::string_view bytes) {
  std::string text((bytes.size() + 2) / 3 * 4 + 1, '\0');
  const int size =
      EVP_EncodeBlock(reinterpret_cast<unsigned char*>(text.data()),
                      reinterpret_cast<const unsigned char*>(bytes.data()), static_cast<int>(bytes.size()));
  text.resize(static_cast<std::size_t>(size));
  return text;
}

std::optional<std::string> from_base64(std::string_view text) {
  if (text.size() % 4 != 0 || text.size() > 65536) return std::nullopt;
  const std::size_t padding = text.ends_with("==") ? 2 : text.ends_with('=') ? 1 : 0;
  if (!std::ranges::all_of(text.substr(0, text.size() - padding), is_base64_letter)) return std::nullopt;
  std::string bytes(text.size() / 4 * 3, '\0');
  const int size = EVP_DecodeBlock(reinterpret_cast<unsigned char*>(bytes.data()),
                                   reinterpret_cast<const unsigned char*>(text.data()), static_cast<int>(text.size()));
  if (size < 0) return std::nullopt;
  bytes.resize(static_cast<std::size_t>(size) - padding);
  return bytes;
}

}  // namespace pgkeel
