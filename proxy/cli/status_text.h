// The admin endpoint's JSON as text for a person. Pure; a document that is not what was expected is an error, never a
// crash.
#pragma once

#include <string>

#include "proxy/base/result.h"
#include "proxy/cli/terminal.h"

namespace pgkeel {

Result<std::string> status_text(const std::string& clusters_json, const Painter& painter = Painter());

// One line per event; `last_id` is set to the newest id where there is one. `cluster`: of this one only; empty: of all.
Result<std::string> events_text(const std::string& events_json, std::uint64_t& last_id, const std::string& cluster = "",
                                const Painter& painter = Painter());

// The clusters as one line of JSON.
Result<std::string> status_json_line(const std::string& clusters_json);

// The events one JSON object per line.
Result<std::string> events_json_lines(const std::string& events_json, std::uint64_t& last_id);

// The records of decisions, a few lines each; and one JSON object per line.
Result<std::string> decisions_text(const std::string& decisions_json);
Result<std::string> decisions_json_lines(const std::string& decisions_json);

}  // namespace pgkeel
