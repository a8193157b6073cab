// A decision record as JSON, and read back. Pure.
#pragma once

#include <string>
#include <string_view>

#include "proxy/base/result.h"
#include "replication/model/decision_record.h"

namespace pgkeel {

std::string decision_json(const DecisionRecord& record);

// What decision_json() wrote. Whatever it holds, this never throws.
Result<DecisionRecord> read_decision(std::string_view json);

}  // namespace pgkeel
