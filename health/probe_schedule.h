// When the next probe of a node begins. Pure.
#pragma once

#include <algorithm>

#include "proxy/base/time.h"

namespace pgkeel {

// However often probes are asked for, this lies between the beginnings of two.
constexpr Duration kLeastProbeSpacing = std::chrono::milliseconds(20);

struct ProbeTimes {
  Instant last_started_at;
  Instant last_finished_at;
  Instant confirm_at;          // the detector wants one then; Instant::max(): no hurry
  bool asked_for_now = false;  // somebody saw a link break since the last one began
};

// `spread`, from -1 to 1, moves the beginning by up to a twentieth of the interval, so that nodes (and several pgkeels)
// are not probed all at once.
inline Instant next_probe_at(const ProbeTimes& times, Duration interval, double spread) {
  const auto shift = std::chrono::duration_cast<Duration>(interval * (spread / 20));
  Instant next = std::min(times.last_started_at + interval + shift, times.confirm_at);
  if (times.asked_for_now) next = times.last_finished_at;
  return std::max({next, times.last_finished_at, times.last_started_at + kLeastProbeSpacing});
}

}  // namespace pgkeel
