// The few server messages whose body matters to a proxy. Pure. Each takes a whole message with its header.
#pragma once

#include <cstdint>
#include <optional>
#include <string_view>

#include "proxy/base/bytes.h"
#include "proxy/wire/startup.h"

namespace pgkeel {

// 'R': 0 is AuthenticationOk, anything else asks the client for something or ends an exchange.
std::optional<std::uint32_t> authentication_code(Bytes message);

struct ParameterStatus {
  std::string_view name;
  std::string_view value;
};
std::optional<ParameterStatus> parse_parameter_status(Bytes message);  // 'S'

std::optional<CancelKey> parse_backend_key_data(Bytes message);  // 'K'

}  // namespace pgkeel
