// From the text of pgkeel.toml to a Config, or to everything that is wrong with it. Any thread.
#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "config/config.h"
#include "config/problem.h"
#include "proxy/base/result.h"

namespace pgkeel {

// The problems are in the order of the file. A text that is no TOML at all has one: reading ends there.
using ConfigResult = Result<Config, std::vector<Problem>>;

// `file_name` is what the problems say; nothing is read but `text`.
ConfigResult parse_config(std::string_view text, const std::string& file_name);

// Reads the file first; blocks while it does.
ConfigResult load_config(const std::string& path);

// The same of agent.toml.
using AgentFileResult = Result<AgentFile, std::vector<Problem>>;
AgentFileResult parse_agent_file(std::string_view text, const std::string& file_name);
AgentFileResult load_agent_file(const std::string& path);

}  // namespace pgkeel
