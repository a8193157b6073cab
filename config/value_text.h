// A value as pgkeel.toml writes it. Pure; any thread.
#pragma once

#include <string>

#include "config/schema.h"

namespace pgkeel {

std::string value_text(const Key& key, const KeyValue& value);

}  // namespace pgkeel
