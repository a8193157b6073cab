#include "proxy/base/log.h"

#include <atomic>
#include <cstdio>
#include <utility>

namespace pgkeel {
namespace {

std::atomic<LogLevel> g_least{LogLevel::kInfo};
LogSink g_sink;

}  // namespace

void log(LogLevel level, std::string_view part, std::string_view message) {
  if (level < g_least.load(std::memory_order_relaxed)) return;
  if (g_sink) {
    g_sink(level, part, message);
    return;
  }
  std::fprintf(stderr, "%.*s: %.*s\n", static_cast<int>(part.size()), part.data(), static_cast<int>(message.size()),
               message.data());
}

void set_log_sink(LogLevel least, LogSink sink) {
  set_log_level(least);
  g_sink = std::move(sink);
}

void set_log_level(LogLevel least) {
  g_least.store(least, std::memory_order_relaxed);
}

}  // namespace pgkeel
