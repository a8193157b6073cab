// JSON as an answer of the admin endpoint: indented, for people read it too.
#pragma once

#include <string>

#include <nlohmann/json.hpp>

namespace pgkeel {

// Messages may quote bytes of a server that are no UTF-8: they are replaced, never an exception.
inline std::string answer_text(const nlohmann::ordered_json& json) {
  return json.dump(2, ' ', false, nlohmann::ordered_json::error_handler_t::replace) + "\n";
}

}  // namespace pgkeel
