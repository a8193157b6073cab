// What `pgkeel lost` prints. Pure.
#pragma once

#include <string>
#include <vector>

#include <nlohmann/json_fwd.hpp>

#include "replication/agent/quarantine_entry.h"

namespace pgkeel {

// One line for each report, oldest first.
std::string lost_list_text(const std::vector<QuarantineEntry>& entries);
nlohmann::json lost_list_json(const std::vector<QuarantineEntry>& entries);

// A report whole, with its transactions.
std::string lost_report_text(const QuarantineEntry& entry, const nlohmann::json& report,
                             const std::vector<nlohmann::json>& transactions);

}  // namespace pgkeel
