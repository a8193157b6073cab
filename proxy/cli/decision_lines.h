// One decision record, as `pgkeel decisions` shows it to a person. Pure.
#pragma once

#include <cstdint>
#include <string>

#include <nlohmann/json_fwd.hpp>

namespace pgkeel {

// Throws nlohmann::json::exception where the record lacks what every record has.
std::string decision_lines(const nlohmann::json& record);

// "1 committed transaction", "2 committed transactions"
std::string committed_transactions(std::uint64_t count);

}  // namespace pgkeel
