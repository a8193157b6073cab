// Finds TOML that is nested deeper than a reader that recurses can take. Pure; any thread.
#pragma once

#include <optional>
#include <string_view>

#include "config/problem.h"

namespace pgkeel {

// The first dot of a key, on a line that has too many of them; toml++ limits arrays and inline tables by itself, dotted
// keys it does not.
std::optional<Position> find_deep_nesting(std::string_view text);

}  // namespace pgkeel
