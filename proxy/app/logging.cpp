#include "proxy/app/logging.h"

#include <atomic>
#include <memory>

#include <nlohmann/json.hpp>
#include <spdlog/logger.h>
#include <spdlog/sinks/stdout_sinks.h>

#include "proxy/io/clock.h"

namespace pgkeel {
namespace {

std::atomic<bool> g_as_json{false};

constexpr const char* kLevelNames[] = {"debug", "info", "warning", "error"};

std::string json_line(LogLevel level, std::string_view part, std::string_view message) {
  const nlohmann::ordered_json line = {{"time", format_wall_time(wall_now())},
                                       {"level", kLevelNames[static_cast<int>(level)]},
                                       {"part", part},
                                       {"message", message}};
  return line.dump(-1, ' ', false, nlohmann::json::error_handler_t::replace);
}

}  // namespace

void set_up_logging(const LogConfig& config) {
  auto logger = std::make_shared<spdlog::logger>("pgkeel", std::make_shared<spdlog::sinks::stderr_sink_mt>());
  logger->set_pattern("%v");
  logger->set_level(spdlog::level::trace);
  logger->flush_on(spdlog::level::trace);
  g_as_json = config.format == LogFormat::kJson;
  set_log_sink(config.level, [logger](LogLevel level, std::string_view part, std::string_view message) {
    if (g_as_json.load(std::memory_order_relaxed)) return logger->info(json_line(level, part, message));
    logger->info("{} {:7} {}: {}", format_wall_time(wall_now()), kLevelNames[static_cast<int>(level)], part, message);
  });
}

void change_logging(const LogConfig& config) {
  g_as_json = config.format == LogFormat::kJson;
  set_log_level(config.level);
}

}  // namespace pgkeel
