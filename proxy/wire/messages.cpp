#include "proxy/wire/messages.h"

#include "proxy/wire/frame.h"

namespace pgkeel {

std::optional<std::uint32_t> authentication_code(Bytes message) {
  if (message.size() < kMessageHeaderBytes + 4) return std::nullopt;
  return read_uint32(message.subspan(kMessageHeaderBytes, 4));
}

std::optional<ParameterStatus> parse_parameter_status(Bytes message) {
  if (message.size() < kMessageHeaderBytes) return std::nullopt;
  const std::string_view body = as_text(message.subspan(kMessageHeaderBytes));
  const auto name_end = body.find('\0');
  if (name_end == std::string_view::npos) return std::nullopt;
  const auto value_end = body.find('\0', name_end + 1);
  if (value_end == std::string_view::npos) return std::nullopt;
  return ParameterStatus{body.substr(0, name_end), body.substr(name_end + 1, value_end - name_end - 1)};
}

std::optional<CancelKey> parse_backend_key_data(Bytes message) {
  constexpr std::size_t kSecretAt = kMessageHeaderBytes + 4;
  if (message.size() < kSecretAt + 4 || message.size() > kSecretAt + kCancelSecretBytesMax) return std::nullopt;
  return CancelKey{read_uint32(message.subspan(kMessageHeaderBytes, 4)),
                   std::string(as_text(message.subspan(kSecretAt)))};
}

}  // namespace pgkeel
