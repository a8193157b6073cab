// deploy/configuration.md, made from the schema: every key with its type, default, limits, meaning, and when a changed
// value is in force. Pure.
#pragma once

#include <string>

namespace pgkeel {

std::string configuration_reference();

}  // namespace pgkeel
