#include "health/failure_detector.h"

#include <algorithm>
#include <utility>

namespace pgkeel {

const char* liveness_name(Liveness liveness) {
  switch (liveness) {
    case Liveness::kUnknown:
      return "unknown";
    case Liveness::kAlive:
      return "alive";
    case Liveness::kLate:
      return "late";
    case Liveness::kStarting:
      return "starting";
    case Liveness::kStuck:
      return "stuck";
    case Liveness::kDead:
      return "dead";
    case Liveness::kSilent:
      return "silent";
  }
  return "unknown";
}

FailureDetector::FailureDetector(const DetectionConfig& settings, Instant created_at)
    : settings_(settings), created_at_(created_at), silent_since_(created_at) {}

void FailureDetector::observed(const Observation& observation) {
  const Instant ended = observation.finished_at;
  const bool was_alive = alive(ended);
  last_probe_ended_ = std::max(last_probe_ended_, ended);
  last_trouble_ = observation.detail;

  switch (observation.outcome) {
    case ProbeOutcome::kAnswered:
    case ProbeOutcome::kAliveOnly:
      if (observation.started_at > died_at_) died_at_ = kNever;
      forget_refusals();
      forget_starting();
      sign_of_life(ended, was_alive);
      return;

    case ProbeOutcome::kStarting:
      if (observation.started_at > died_at_) died_at_ = kNever;
      forget_refusals();
      sign_of_life(ended, was_alive);
      if (starting_since_ == kNever) starting_since_ = ended;
      last_starting_ = ended;
      if (stuck_since_ == kNever && ended - starting_since_ >= settings_.restart_grace) {
        stuck_since_ = ended;
        stuck_trouble_ = last_trouble_;
      }
      return;

    case ProbeOutcome::kRefused:
      if (refusals_ == 0) first_refused_ = ended;
      refusals_ += 1;
      last_refused_ = ended;
      if (refused_dead_since_ == kNever && refusals_ >= 2 && ended - first_refused_ >= settings_.refused_confirm) {
        refused_dead_since_ = ended;
        // Said once: the evidence stays the same while the node goes on to refuse.
        const std::string times = refusals_ == 2 ? "twice, " : std::to_string(refusals_) + " times, first and last ";
        refused_evidence_ = "connection refused " + times + format_duration(last_refused_ - first_refused_) + " apart";
        forget_starting();  // what comes up after this is another postmaster, with a grace of its own
      }
      [[fallthrough]];
    case ProbeOutcome::kTimedOut:
      newest_unanswered_ = {observation.started_at, ended, last_trouble_};
      if (!asked_in_vain() && observation.started_at >= silent_since_) first_unanswered_ = newest_unanswered_;
      return;

    case ProbeOutcome::kOwnTrouble:
      own_trouble(ended, observation.detail);
      return;
  }
}

void FailureDetector::postmaster_died(Instant now, std::string detail) {
  died_at_ = now;
  death_ = std::move(detail);
  forget_refusals();
  forget_starting();
}

void FailureDetector::heard_from(Instant when) {
  if (when == Instant{} || when <= last_heard_) return;
  const bool was_alive = alive(when);
  if (when > last_refused_) {
    forget_refusals();
  } else if (when > first_refused_) {  // between two refusals: the run begins after it
    first_refused_ = last_refused_;
    refusals_ = 1;
    refused_dead_since_ = kNever;
  }
  sign_of_life(when, was_alive);
}

void FailureDetector::own_trouble(Instant now, std::string detail) {
  last_trouble_ = detail.empty() ? "could not ask" : "could not ask: " + std::move(detail);
  count_silence_from(now);
}

void FailureDetector::stalled(Instant now) {
  last_trouble_ = "this process was asleep";
  count_silence_from(now);
  forget_refusals();
  forget_starting();
}

void FailureDetector::sign_of_life(Instant when, bool was_alive) {
  if (!was_alive) alive_since_ = when;
  last_heard_ = std::max(last_heard_, when);
  count_silence_from(when);
}

void FailureDetector::count_silence_from(Instant when) {
  if (when <= silent_since_) return;
  silent_since_ = when;
  if (first_unanswered_.started_at >= when) return;
  first_unanswered_ = newest_unanswered_.started_at >= when ? newest_unanswered_ : UnansweredProbe{};
}

void FailureDetector::forget_refusals() {
  first_refused_ = kNever;
  last_refused_ = kNever;
  refusals_ = 0;
  refused_dead_since_ = kNever;
}

void FailureDetector::forget_starting() {
  starting_since_ = kNever;
  last_starting_ = kNever;
  stuck_since_ = kNever;
}

// The next answer should have been here, or a probe went without one.
Instant FailureDetector::late_from() const {
  Instant from = last_heard_ + 2 * settings_.interval;
  if (asked_in_vain()) from = std::min(from, first_unanswered_.finished_at);
  if (refusals_ > 0) from = std::min(from, first_refused_);
  return from;
}

Instant FailureDetector::silent_from() const {
  if (!asked_in_vain()) return Instant::max();
  return std::max(silent_since_ + settings_.failure_timeout, first_unanswered_.finished_at);
}

Suspicion FailureDetector::suspicion(Instant now) const {
  const bool heard = last_heard_ != kNever;
  const auto with = [&](Liveness liveness, Instant since, std::string evidence) {
    const Instant in_vain = newest_unanswered_.started_at;
    return Suspicion{liveness,
                     since,
                     heard ? last_heard_ : Instant{},
                     in_vain != kNever ? in_vain : Instant{},
                     std::move(evidence),
                     last_trouble_};
  };
  const auto in_brackets = [](const std::string& trouble) { return trouble.empty() ? "" : " (" + trouble + ")"; };
  const std::string because = in_brackets(last_trouble_);

  if (died_at_ != kNever) return with(Liveness::kDead, died_at_, death_);
  if (refused_dead_since_ != kNever) return with(Liveness::kDead, refused_dead_since_, refused_evidence_);
  if (now >= silent_from()) {
    return with(Liveness::kSilent, silent_from(),
                "no answer for " + format_duration(settings_.failure_timeout) + in_brackets(first_unanswered_.trouble));
  }
  if (stuck_since_ != kNever) {
    return with(
        Liveness::kStuck, stuck_since_,
        "accepted no connections for " + format_duration(stuck_since_ - starting_since_) + in_brackets(stuck_trouble_));
  }
  if (starting_since_ != kNever) {
    return with(Liveness::kStarting, starting_since_, "accepts no connections yet" + because);
  }
  if (!heard) return with(Liveness::kUnknown, created_at_, "not heard from yet" + because);
  if (now >= late_from()) {
    const bool refused = refusals_ > 0;
    return with(Liveness::kLate, late_from(), refused ? "connection refused" + because : "no answer lately" + because);
  }
  return with(Liveness::kAlive, alive_since_, "alive" + because);
}

Instant FailureDetector::next_change(Instant now) const {
  if (died_at_ != kNever || refused_dead_since_ != kNever) return Instant::max();
  Instant next = Instant::max();
  const auto consider = [&](Instant when) {
    if (when > now) next = std::min(next, when);
  };
  consider(silent_from());
  if (starting_since_ == kNever && last_heard_ != kNever) consider(late_from());
  return next;
}

Instant FailureDetector::confirm_probe_at() const {
  if (refused_dead_since_ != kNever || died_at_ != kNever || stuck_since_ != kNever) return Instant::max();
  const auto unless_asked = [this](Instant when) { return last_probe_ended_ >= when ? Instant::max() : when; };
  if (refusals_ > 0) return unless_asked(first_refused_ + settings_.refused_confirm);
  if (starting_since_ != kNever) {
    return std::min(last_probe_ended_ + settings_.refused_confirm,
                    unless_asked(starting_since_ + settings_.restart_grace));
  }
  return Instant::max();
}

}  // namespace pgkeel
