// Numbers in the query of a request. Pure.
#pragma once

#include <charconv>
#include <cstdint>
#include <optional>
#include <string>

#include <httplib.h>

namespace pgkeel {

inline std::optional<std::uint64_t> whole_number(const std::string& text) {
  std::uint64_t value = 0;
  const auto [end, code] = std::from_chars(text.data(), text.data() + text.size(), value);
  return code == std::errc{} && end == text.data() + text.size() ? std::optional(value) : std::nullopt;
}

// Where it is given and no number, the request was refused before.
inline std::uint64_t number_parameter(const httplib::Request& request, const char* name, std::uint64_t otherwise) {
  return request.has_param(name) ? whole_number(request.get_param_value(name)).value_or(otherwise) : otherwise;
}

}  // namespace pgkeel
