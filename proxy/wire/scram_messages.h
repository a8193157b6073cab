// The messages of SASL and SCRAM-SHA-256 as PostgreSQL exchanges them (RFC 5802, RFC 7677; manual, "SASL
// Authentication"). Taken apart, and put together; no cryptography. Pure. Whatever is not exactly as it must be is
// nothing.
#pragma once

#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "proxy/base/bytes.h"

namespace pgkeel {

constexpr std::string_view kScramSha256 = "SCRAM-SHA-256";
constexpr std::string_view kScramSha256Plus = "SCRAM-SHA-256-PLUS";
constexpr std::string_view kTlsServerEndPoint = "tls-server-end-point";

// ---- messages of the protocol, whole and with their header ----

// The codes of 'R' that belong to SASL.
constexpr std::uint32_t kAuthenticationSasl = 10;
constexpr std::uint32_t kAuthenticationSaslContinue = 11;
constexpr std::uint32_t kAuthenticationSaslFinal = 12;

// AuthenticationSASL: what a server offers.
std::optional<std::vector<std::string_view>> parse_sasl_mechanisms(Bytes message);
std::string build_sasl_mechanisms(const std::vector<std::string_view>& mechanisms);

// The data of AuthenticationSASLContinue and AuthenticationSASLFinal.
std::string_view sasl_data(Bytes message);
std::string build_sasl_final(std::string_view data);

// SASLInitialResponse: which of them a client takes, and its first words (nothing: none were sent).
struct SaslInitialResponse {
  std::string_view mechanism;
  std::optional<std::string_view> data;
};
std::optional<SaslInitialResponse> parse_sasl_initial_response(Bytes message);
std::string build_sasl_initial_response(std::string_view mechanism, std::string_view data);

// SASLResponse: whatever a client says later.
std::string_view sasl_response(Bytes message);
std::string build_sasl_response(std::string_view data);

// ---- what they carry ----

// "n,,n=,r=fyko+d2lbbFgONRv9qkxdawL"
struct ScramClientFirst {
  char binding = 'n';             // n: not supported by the client, y: it thinks not by the server, p: wanted
  std::string_view binding_type;  // of p
  std::string_view gs2_header;    // with both commas
  std::string_view bare;          // what is behind it
  std::string_view nonce;
};
std::optional<ScramClientFirst> parse_scram_client_first(std::string_view text);

// "r=<nonce of both>,s=<salt>,i=4096"
struct ScramServerFirst {
  std::string_view nonce;
};
std::optional<ScramServerFirst> parse_scram_server_first(std::string_view text);

// "c=biws,r=<nonce of both>,p=<proof>"
struct ScramClientFinal {
  std::string_view binding;  // base64, of the GS2 header and what the channel is bound to
  std::string_view nonce;
  std::string_view without_proof;
  std::string_view proof;  // base64
};
std::optional<ScramClientFinal> parse_scram_client_final(std::string_view text);

// "v=<signature>": the signature, base64. An error of the server ("e=…") is nothing.
std::optional<std::string_view> parse_scram_server_final(std::string_view text);

}  // namespace pgkeel
