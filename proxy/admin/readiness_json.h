// Readiness as JSON: the same in the status and in `pgkeel check --live --json`. Pure.
#pragma once

#include <vector>

#include <nlohmann/json_fwd.hpp>

#include "replication/readiness/finding.h"

namespace pgkeel {

nlohmann::ordered_json findings_to_json(const std::vector<Finding>& list);
nlohmann::ordered_json readiness_to_json(const Readiness& readiness);

}  // namespace pgkeel
