#include "proxy/app/login_watch.h"

#include <algorithm>

namespace pgkeel {

bool LoginWatch::unanswered(const std::string& node, std::uint64_t epoch, std::uint64_t logins,
                            const std::string& detail, Instant now) {
  const bool is_known = silence_ && silence_->epoch == epoch;
  if (!is_known) trial_limit_ = kCalm;
  silence_ = {node, epoch, logins, "accepts no new connections: " + detail, now};
  return !is_known;
}

std::optional<LoginWatch::Trial> LoginWatch::begin_trial(Instant now) {
  if (!silence_ || silence_->own_login_answered || trial_runs_) return std::nullopt;
  if (now - std::max(silence_->unanswered_at, tried_at_) < kCalm) return std::nullopt;
  trial_runs_ = true;
  return Trial{silence_->node, trial_limit_};
}

void LoginWatch::tried(const Trial& trial, bool answered, Instant now) {
  trial_runs_ = false;
  tried_at_ = now;
  if (!concerns(trial.node)) return;
  silence_->own_login_answered = answered;
  if (!answered) trial_limit_ = std::min(2 * trial.limit, kTrialLimitMax);
}

std::optional<std::string> LoginWatch::review(std::uint64_t epoch, std::uint64_t logins, Instant now) {
  if (!silence_) return std::nullopt;
  const bool one_was_finished = silence_->logins != logins || silence_->own_login_answered;
  const bool accepts = one_was_finished && now - silence_->unanswered_at >= kCalm;
  if (silence_->epoch == epoch && !accepts) return std::nullopt;
  const std::string node = silence_->node;
  silence_.reset();
  return node;
}

}  // namespace pgkeel
