// The log as the parts see it. Where lines go, and in which format, is decided once, by proxy/app/logging.
// Any thread. Before a sink is set, lines go to stderr.
#pragma once

#include <functional>
#include <string>
#include <string_view>

namespace pgkeel {

enum class LogLevel { kDebug, kInfo, kWarning, kError };

// `part` is the part that speaks ("session", "monitor", …); `message` is one line without a newline.
void log(LogLevel level, std::string_view part, std::string_view message);

using LogSink = std::function<void(LogLevel, std::string_view part, std::string_view message)>;

// Before threads are started. Lines below `least` are dropped.
void set_log_sink(LogLevel least, LogSink sink);

// From now on lines below `least` are dropped. Any thread.
void set_log_level(LogLevel least);

}  // namespace pgkeel
