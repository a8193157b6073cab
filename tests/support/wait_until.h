// Waits for something that cannot be waited for otherwise. Looks often at first, then less, to leave the machine to
// those who work.
#pragma once

#include <algorithm>
#include <chrono>
#include <thread>

#include "proxy/base/time.h"
#include "proxy/io/clock.h"

namespace pgkeel::test {

// How much slower than the release build a sanitizer makes ours and what we wait for.
#if defined(__SANITIZE_THREAD__)
constexpr int kSlowdown = 5;
#elif defined(__SANITIZE_ADDRESS__)
constexpr int kSlowdown = 2;
#else
constexpr int kSlowdown = 1;
#endif

// Whether `condition` came true within `limit`. The limit is only there to end a broken test.
template <class Condition>
[[nodiscard]] bool wait_until(Condition condition, Duration limit = std::chrono::seconds(30)) {
  const Instant deadline = monotonic_now() + limit * kSlowdown;
  Duration pause = std::chrono::milliseconds(1);
  while (!condition()) {
    if (monotonic_now() >= deadline) return false;
    std::this_thread::sleep_for(pause);
    pause = std::min<Duration>(pause * 2, std::chrono::milliseconds(50));
  }
  return true;
}

}  // namespace pgkeel::test
