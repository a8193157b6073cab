// config/example.toml, made from the schema: every key with its default, or with a value that shows how it looks.
#pragma once

#include <string>

namespace pgkeel {

// A valid configuration. What this version does not support is there as a comment that says why.
std::string example_toml();

// The same of agent.toml.
std::string agent_example_toml();

}  // namespace pgkeel
