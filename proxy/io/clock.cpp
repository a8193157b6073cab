#include "proxy/io/clock.h"

namespace pgkeel {

Instant monotonic_now() {
  return Instant(std::chrono::duration_cast<Duration>(std::chrono::steady_clock::now().time_since_epoch()));
}

WallTime wall_now() {
  return WallTime(std::chrono::duration_cast<Duration>(std::chrono::system_clock::now().time_since_epoch()));
}

Now clocks_now() {
  return {monotonic_now(), wall_now()};
}

}  // namespace pgkeel
