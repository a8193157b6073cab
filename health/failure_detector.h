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
  kStuck,     // answers 57P03, and did so restart_grace ago
  kDead,      // the postmaster was seen to die, or the connection was refused, and refused again after refused_confirm
  kSilent,    // no answer at all for failure_timeout, although we asked and nothing was wrong on our side
};

// "alive", "late", …: one word for a person or a metric.
const char* liveness_name(Liveness liveness);

struct Suspicion {
  Liveness liveness = Liveness::kUnknown;
  Instant since;             // when this liveness began
  Instant last_heard;        // Instant{}: never
  Instant asked_in_vain_at;  // when the newest probe began that was not answered; Instant{}: none
  // For a person: "connection refused twice, 153ms apart". Of a node that failed it stays what it was when it failed,
  // whatever later probes run into.
  std::string evidence;
  std::string trouble;  // why there are no facts of late, as the server or the system put it; empty: there are

  // Enough to fail over, as far as this node alone is concerned.
  [[nodiscard]] bool failed() const {
    return liveness == Liveness::kStuck || liveness == Liveness::kDead || liveness == Liveness::kSilent;
  }
};

class FailureDetector {
 public:
  FailureDetector(const DetectionConfig& settings, Instant created_at);

  // What was heard stays; from now on it is judged by these.
  void set_settings(const DetectionConfig& settings) { settings_ = settings; }

  void observed(const Observation& observation);

  // Seen by a process watch or an agent: certain, until a probe that began later is answered.
  void postmaster_died(Instant now, std::string detail);

  // Bytes arrived on a client link. They speak against silence and against refusals, but not against a death that was
  // seen (they may have been on their way), nor against 57P03 (they may be that very answer to a client).
  void heard_from(Instant when);

  // We could not ask: silence is counted anew from here.
  void own_trouble(Instant now, std::string detail = {});

  // This process was asleep: what was not heard meanwhile counts for nothing, refusals and 57P03 must be seen anew.
  void stalled(Instant now);

  [[nodiscard]] Suspicion suspicion(Instant now) const;

  // When suspicion() may change although nothing more is heard; Instant::max(): never.
  [[nodiscard]] Instant next_change(Instant now) const;

  // When a probe should follow sooner than the interval (refused_confirm after a first refusal, and likewise while the
  // node is starting); Instant::max(): no hurry.
  [[nodiscard]] Instant confirm_probe_at() const;

 private:
  static constexpr Instant kNever = Instant::min();

  struct UnansweredProbe {
    Instant started_at = kNever;
    Instant finished_at = kNever;
    std::string trouble;
  };

  [[nodiscard]] bool alive(Instant now) const { return suspicion(now).liveness == Liveness::kAlive; }
  void sign_of_life(Instant when, bool was_alive);
  void count_silence_from(Instant when);
  void forget_refusals();
  void forget_starting();
  [[nodiscard]] bool asked_in_vain() const { return first_unanswered_.started_at != kNever; }
  [[nodiscard]] Instant late_from() const;
  [[nodiscard]] Instant silent_from() const;

  DetectionConfig settings_;
  Instant created_at_;
  Instant last_heard_ = kNever;
  Instant alive_since_ = kNever;
  Instant last_probe_ended_ = kNever;
  std::string last_trouble_;  // why there are no facts of late; empty: there are

  Instant silent_since_;               // silence counts from here
  UnansweredProbe first_unanswered_;   // of the probes that began after silent_since_
  UnansweredProbe newest_unanswered_;  // of all

  Instant first_refused_ = kNever;  // a run of refusals without a sign of life between
  Instant last_refused_ = kNever;
  int refusals_ = 0;
  Instant refused_dead_since_ = kNever;
  std::string refused_evidence_;

  Instant starting_since_ = kNever;  // a run of 57P03 without any other answer between
  Instant last_starting_ = kNever;
  Instant stuck_since_ = kNever;
  std::string stuck_trouble_;  // as it was then

  Instant died_at_ = kNever;
  std::string death_;
};

}  // namespace pgkeel
