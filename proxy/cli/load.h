// Reads the configuration for a verb, and tells all that is wrong with it on stderr.
#pragma once

#include <optional>
#include <string>

#include "config/config.h"

namespace pgkeel {

std::optional<Config> load_or_tell(const std::string& path);

}  // namespace pgkeel
