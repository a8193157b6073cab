#include "proxy/routing/login_gate.h"

#include <algorithm>

namespace pgkeel {
namespace {

// Sessions that were ended come back within their drivers' pauses, not in the same moment.
constexpr Duration kRush = std::chrono::seconds(10);
// Workers ask every few milliseconds: what falls due in between must not be lost.
constexpr double kBurstSeconds = 0.02;
// Logins that wait for the server's first answer: what a server that keeps up with the rate answers within an eighth of
// a second. One that does a tenth of the rate still answers each within two seconds.
constexpr double kUnderWaySeconds = 0.125;
constexpr std::size_t kUnderWayMin = 16;

}  // namespace

LoginGate::LoginGate(std::uint32_t logins_per_second) {
  set_rate(logins_per_second);
}

void LoginGate::set_rate(std::uint32_t logins_per_second) {
  const std::lock_guard lock(mutex_);
  rate_ = logins_per_second;
  burst_ = std::max(2.0, rate_ * kBurstSeconds);
  under_way_max_ = std::max(kUnderWayMin, static_cast<std::size_t>(rate_ * kUnderWaySeconds));
  if (logins_per_second == 0) limit_ = Limit::kNone;
}

LoginGate::Ticket LoginGate::enter() {
  const std::lock_guard lock(mutex_);
  waiting_.insert(waiting_.end(), next_ticket_);
  return next_ticket_++;
}

void LoginGate::enter(Ticket ticket) {
  const std::lock_guard lock(mutex_);
  under_way_.erase(ticket);
  waiting_.insert(ticket);
}

void LoginGate::leave(Ticket ticket) {
  const std::lock_guard lock(mutex_);
  waiting_.erase(ticket);
}

bool LoginGate::try_pass(Ticket ticket, Instant now) {
  const std::lock_guard lock(mutex_);
  const auto place = waiting_.find(ticket);
  if (place == waiting_.end()) return false;
  ease(now);
  if (limit_ != Limit::kNone) {
    // Tokens and places belong to those in front, although their worker has not asked yet.
    std::size_t left = under_way_max_ - std::min(under_way_max_, under_way_.size());
    if (limit_ == Limit::kRate) {
      refill(now);
      left = std::min(left, static_cast<std::size_t>(tokens_));
    }
    for (auto ahead = waiting_.begin(); ahead != place && left > 0; ++ahead) --left;
    if (left == 0) return false;
    if (limit_ == Limit::kRate) tokens_ -= 1;
  }
  waiting_.erase(place);
  under_way_.insert(ticket);
  return true;
}

void LoginGate::settle(Ticket ticket) {
  const std::lock_guard lock(mutex_);
  under_way_.erase(ticket);
}

void LoginGate::limit_from(Instant now) {
  const std::lock_guard lock(mutex_);
  if (rate_ <= 0) return;
  limit_ = Limit::kRate;
  eased_for_ = 0;
  limited_since_ = now;
  filled_at_ = now;
  tokens_ = 1;
}

// Somebody waits.
void LoginGate::ease(Instant now) {
  if (limit_ == Limit::kNone || now - limited_since_ < kRush) return;
  if (waiting_.size() == 1) {
    limit_ = Limit::kNone;
    return;
  }
  if (eased_for_ == 0) eased_for_ = next_ticket_;
  if (*waiting_.begin() < eased_for_) return;
  // Where the queue becomes no shorter, more come than the server answers, and no limit would change that.
  const bool goes_on = limit_ == Limit::kRate || waiting_.size() <= queued_ / 2;
  limit_ = goes_on ? Limit::kUnderWay : Limit::kNone;
  eased_for_ = next_ticket_;
  queued_ = waiting_.size();
}

void LoginGate::refill(Instant now) {
  if (now <= filled_at_) return;
  tokens_ = std::min(burst_, tokens_ + rate_ * std::chrono::duration<double>(now - filled_at_).count());
  filled_at_ = now;
}

}  // namespace pgkeel
