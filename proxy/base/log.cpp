#include "proxy/base/log.h"

#include <cstdio>
#include <utility>

namespace pgkeel {
namespace {

LogLevel g_least = LogLevel::kInfo;
LogSink g_sink;

}  // namespace

void log(LogLevel level, std::string_view part, std::string_view message) {
  if (level < g_least) return;
  if (g_sink) {
    g_sink(level, part, message);
    return;
  }
  std::fprintf(stderr, "%.*s: %.*s\n", static_cast<int>(part.size()), part.data(), static_cast<int>(message.size()),
               message.data());
}

void set_log_sink(LogLevel least, LogSink sink) {
  g_least = least;
  g_sink = std::move(sink);
}

}  // namespace pgkeel
