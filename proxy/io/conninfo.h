// libpq connection strings (PostgreSQL manual, "Connection Strings"). Any thread.
#pragma once

#include <map>
#include <string>

#include "proxy/base/result.h"

namespace pgkeel {

// The key = value pairs that are set in `conninfo`, which may also be a URI.
Result<std::map<std::string, std::string>> parse_conninfo(const std::string& conninfo);

// key = 'value' pairs, quoted as libpq wants it.
std::string format_conninfo(const std::map<std::string, std::string>& settings);

}  // namespace pgkeel
