// How many durations were how long, in the buckets that Prometheus is told. Plain data.
#pragma once

#include <algorithm>
#include <array>
#include <cstddef>
#include <cstdint>

#include "proxy/base/time.h"

namespace pgkeel {

struct DurationHistogram {
  // From a promotion of milliseconds to a base backup of minutes.
  static constexpr std::array<std::int64_t, 14> kBoundsMs = {5,    10,   25,   50,    100,   250,   500,
                                                             1000, 2500, 5000, 10000, 30000, 60000, 300000};

  std::array<std::uint64_t, kBoundsMs.size() + 1>
      counts{};  // up to this bound and above the one before; the last: above all
  Duration sum{};

  static std::size_t bucket_of(Duration duration) {
    const auto bound = std::ranges::find_if(
        kBoundsMs, [&](std::int64_t bound_ms) { return duration <= std::chrono::milliseconds(bound_ms); });
    return static_cast<std::size_t>(bound - kBoundsMs.begin());
  }

  void add(Duration duration) {
    ++counts[bucket_of(duration)];
    sum += duration;
  }
};

}  // namespace pgkeel
