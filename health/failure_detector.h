// How much one node is suspected, from what was heard and not heard of it. Pure: no I/O, reads no clock. One per node.
#pragma once

#include <string>

#include "config/config.h"
#include "health/observation.h"
#include "proxy/base/time.h"

namespace pgkeel {

enum class Liveness {
  kUnknown,   // nothing heard yet, and not for long enough to hold it against the node
  kAlive,     // heard from within the last interval or so
  kLate,      // nothing heard for longer than usual, or refused once: no reason to act yet
  kStarting,  // answers 57P03, still within restart_grace
  kStuck,     // answers 57P03 for longer than restart_grace
  kDead,      // the postmaster was seen to die, or the connection was refused, and refused again after refused_confirm
  kSilent,    // no answer at all for failure_timeout, although we asked and nothing was wrong on our side
};

struct Suspicion {
  Liveness liveness = Liveness::kUnknown;
  Instant since;         // when this liveness began
  Instant last_heard;    // Instant{}: never
  std::string evidence;  // for a person: "connection refused twice, 153ms apart"

  // Enough to fail over, as far as this node alone is concerned.
  [[nodiscard]] bool failed() const {
    return liveness == Liveness::kStuck || liveness == Liveness::kDead || liveness == Liveness::kSilent;
  }
};

class FailureDetector {
 public:
  explicit FailureDetector(const DetectionConfig& settings, Instant created_at);

  void observed(const Observation& observation);
  void postmaster_died(Instant now,
                       std::string detail);  // seen by a process watch or an agent: certain, until heard from again
  void heard_from(Instant when);             // bytes arrived on a client link
  void own_trouble(Instant now);             // we could not ask: silence is counted anew from here
  void stalled(Instant now);  // this process was asleep: the same, and verdicts are frozen until the next answer or
                              // full failure_timeout

  [[nodiscard]] Suspicion suspicion(Instant now) const;

  // When suspicion() may change although nothing more is heard; Instant::max(): never.
  [[nodiscard]] Instant next_change(Instant now) const;

  // When a probe should follow sooner than the interval (refused_confirm after a first refusal); Instant::max(): no
  // hurry.
  [[nodiscard]] Instant confirm_probe_at() const;

 private:
  DetectionConfig settings_;
  Instant silent_since_;  // silence counts from here
  Instant last_heard_{};
  Instant asked_since_silence_{};  // the newest probe that began after silent_since_ and got no answer
  Instant first_refused_{};
  Instant last_refused_{};
  Instant starting_since_{};
  Instant died_at_{};
  std::string death_;
};

}  // namespace pgkeel
