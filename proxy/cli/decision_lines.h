// One decision record, as `pgkeel decisions` shows it to a person. Pure.
#pragma once

#include <string>

#include <nlohmann/json.hpp>

namespace pgkeel {

// Throws nlohmann::json::exception where the record lacks what every record has.
std::string decision_lines(const nlohmann::json& record);

}  // namespace pgkeel
