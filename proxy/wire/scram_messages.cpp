#include "proxy/wire/scram_messages.h"

#include <algorithm>

#include "proxy/wire/frame.h"

namespace pgkeel {
namespace {

constexpr std::size_t kAuthenticationBodyAt = kMessageHeaderBytes + 4;
constexpr std::uint32_t kNoData = 0xFFFFFFFF;

std::string build_message(char type, std::string_view body) {
  std::string message(1, type);
  append_uint32(message, static_cast<std::uint32_t>(body.size() + 4));
  return message.append(body);
}

std::string build_authentication(std::uint32_t code, std::string_view data) {
  std::string body;
  append_uint32(body, code);
  return build_message('R', body.append(data));
}

std::string_view body_of(Bytes message) {
  return as_text(message.subspan(std::min(message.size(), kMessageHeaderBytes)));
}

// Takes "x=value" and the comma behind it from the front. The value is never empty.
std::optional<std::string_view> take_attribute(std::string_view& text, char name) {
  if (text.size() < 2 || text[0] != name || text[1] != '=') return std::nullopt;
  text.remove_prefix(2);
  const std::size_t end = std::min(text.find(','), text.size());
  const std::string_view value = text.substr(0, end);
  text.remove_prefix(std::min(end + 1, text.size()));
  if (value.empty()) return std::nullopt;
  return value;
}

// RFC 5802: printable, no comma.
bool is_nonce(std::string_view text) {
  return !text.empty() && std::ranges::all_of(text, [](char c) { return c >= 0x21 && c <= 0x7E && c != ','; });
}

}  // namespace

std::optional<std::vector<std::string_view>> parse_sasl_mechanisms(Bytes message) {
  if (message.size() < kAuthenticationBodyAt) return std::nullopt;
  std::string_view names = as_text(message.subspan(kAuthenticationBodyAt));
  std::vector<std::string_view> mechanisms;
  while (!names.empty() && names.front() != '\0') {
    const std::size_t end = names.find('\0');
    if (end == std::string_view::npos) return std::nullopt;
    mechanisms.push_back(names.substr(0, end));
    names.remove_prefix(end + 1);
  }
  if (names.size() != 1) return std::nullopt;
  return mechanisms;
}

std::string build_sasl_mechanisms(const std::vector<std::string_view>& mechanisms) {
  std::string names;
  for (const std::string_view mechanism : mechanisms) names.append(mechanism) += '\0';
  return build_authentication(kAuthenticationSasl, names + '\0');
}

std::string_view sasl_data(Bytes message) {
  return as_text(message.subspan(std::min(message.size(), kAuthenticationBodyAt)));
}

std::string build_sasl_final(std::string_view data) {
  return build_authentication(kAuthenticationSaslFinal, data);
}

std::optional<SaslInitialResponse> parse_sasl_initial_response(Bytes message) {
  const std::string_view body = body_of(message);
  const std::size_t end = body.find('\0');
  if (end == std::string_view::npos || body.size() < end + 5) return std::nullopt;
  SaslInitialResponse response{.mechanism = body.substr(0, end), .data = {}};
  const std::uint32_t size = read_uint32(as_bytes(body.substr(end + 1, 4)));
  const std::string_view data = body.substr(end + 5);
  if (size == kNoData) return data.empty() ? std::optional(response) : std::nullopt;
  if (data.size() != size) return std::nullopt;
  response.data = data;
  return response;
}

std::string build_sasl_initial_response(std::string_view mechanism, std::string_view data) {
  std::string body(mechanism);
  body += '\0';
  append_uint32(body, static_cast<std::uint32_t>(data.size()));
  return build_message('p', body.append(data));
}

std::string_view sasl_response(Bytes message) {
  return body_of(message);
}

std::string build_sasl_response(std::string_view data) {
  return build_message('p', data);
}

std::optional<ScramClientFirst> parse_scram_client_first(std::string_view text) {
  ScramClientFirst first;
  std::string_view rest = text;
  if (rest.starts_with("p=")) {
    const auto type = take_attribute(rest, 'p');
    if (!type) return std::nullopt;
    first.binding = 'p';
    first.binding_type = *type;
  } else if (rest.starts_with("n,") || rest.starts_with("y,")) {
    first.binding = rest.front();
    rest.remove_prefix(2);
  } else {
    return std::nullopt;
  }
  // An authorization identity would stand here; PostgreSQL knows none.
  if (!rest.starts_with(',')) return std::nullopt;
  rest.remove_prefix(1);
  first.gs2_header = text.substr(0, text.size() - rest.size());
  first.bare = rest;
  // The user's name is that of the startup packet, and this one, which may be empty, is not looked at.
  if (!rest.starts_with("n=")) return std::nullopt;
  const std::size_t name_end = rest.find(',');
  if (name_end == std::string_view::npos) return std::nullopt;
  rest.remove_prefix(name_end + 1);
  const auto nonce = take_attribute(rest, 'r');
  if (!nonce || !is_nonce(*nonce)) return std::nullopt;
  first.nonce = *nonce;
  return first;
}

std::optional<ScramServerFirst> parse_scram_server_first(std::string_view text) {
  const auto nonce = take_attribute(text, 'r');
  if (!nonce || !is_nonce(*nonce)) return std::nullopt;
  if (!take_attribute(text, 's')) return std::nullopt;
  if (!take_attribute(text, 'i')) return std::nullopt;
  return ScramServerFirst{*nonce};
}

std::optional<ScramClientFinal> parse_scram_client_final(std::string_view text) {
  std::string_view rest = text;
  const auto binding = take_attribute(rest, 'c');
  if (!binding) return std::nullopt;
  const auto nonce = take_attribute(rest, 'r');
  if (!nonce || !is_nonce(*nonce)) return std::nullopt;
  // Extensions may stand between; the proof is the last.
  const std::size_t proof_at = text.rfind(",p=");
  if (proof_at == std::string_view::npos || text.size() - rest.size() > proof_at + 1) return std::nullopt;
  std::string_view last = text.substr(proof_at + 1);
  const auto proof = take_attribute(last, 'p');
  if (!proof || !last.empty() || text.ends_with(',')) return std::nullopt;
  return ScramClientFinal{
      .binding = *binding, .nonce = *nonce, .without_proof = text.substr(0, proof_at), .proof = *proof};
}

std::optional<std::string_view> parse_scram_server_final(std::string_view text) {
  return take_attribute(text, 'v');
}

}  // namespace pgkeel
