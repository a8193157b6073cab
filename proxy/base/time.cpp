#include "proxy/base/time.h"

#include <cstdio>
#include <ctime>

namespace pgkeel {

std::string format_wall_time(WallTime time) {
  const auto milliseconds = to_milliseconds(time.time_since_epoch());
  const auto seconds = static_cast<std::time_t>(milliseconds / 1000);
  std::tm parts{};
  gmtime_r(&seconds, &parts);
  char text[64];
  const std::size_t length = std::strftime(text, sizeof text, "%Y-%m-%dT%H:%M:%S", &parts);
  std::snprintf(text + length, sizeof text - length, ".%03dZ", static_cast<int>(milliseconds % 1000));
  return text;
}

std::string format_duration(Duration duration) {
  const double milliseconds = std::chrono::duration<double, std::milli>(duration).count();
  char text[64];
  if (milliseconds < 1) {
    std::snprintf(text, sizeof text, "%.3gms", milliseconds);
  } else if (milliseconds < 1000) {
    std::snprintf(text, sizeof text, "%.0fms", milliseconds);
  } else if (milliseconds < 120'000) {
    std::snprintf(text, sizeof text, "%.3gs", milliseconds / 1000);
  } else {
    std::snprintf(text, sizeof text, "%.0fm", milliseconds / 60'000);
  }
  return text;
}

}  // namespace pgkeel
