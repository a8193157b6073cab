// Values of the admin endpoint's JSON as a person reads them. Pure.
#pragma once

#include <string>

#include <nlohmann/json.hpp>

namespace pgkeel {

inline std::string text_or_dash(const nlohmann::json& value) {
  return value.is_string() ? value.get<std::string>() : "-";
}

}  // namespace pgkeel
