// Where the log goes: lines on stderr, as text or as JSON, through spdlog. One configuration at a time.
#pragma once

#include "config/config.h"

namespace pgkeel {

void set_up_logging(const LogConfig& config);  // once, before threads are started

// Another level and format, from now on. Any thread, after set_up_logging().
void change_logging(const LogConfig& config);

}  // namespace pgkeel
