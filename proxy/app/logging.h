// Where the log goes: lines on stderr, as text or as JSON, through spdlog. Called once, before threads are started.
#pragma once

#include "config/config.h"

namespace pgkeel {

void set_up_logging(const LogConfig& config);

}  // namespace pgkeel
