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
  if (logins_per_second == 0) limited_ = false;
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
  if (limited_ && waiting_.size() == 1 && now - limited_since_ >= kRush) limited_ = false;
  if (limited_) {
    refill(now);
    // Tokens and places belong to those in front, although their worker has not asked yet.
    const std::size_t places = under_way_max_ - std::min(under_way_max_, under_way_.size());
    std::size_t left = std::min(static_cast<std::size_t>(tokens_), places);
    for (auto ahead = waiting_.begin(); ahead != place && left > 0; ++ahead) --left;
    if (left == 0) return false;
    tokens_ -= 1;
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
  limited_ = true;
  limited_since_ = now;
  filled_at_ = now;
  tokens_ = 1;
}

void LoginGate::refill(Instant now) {
  if (now <= filled_at_) return;
  tokens_ = std::min(burst_, tokens_ + rate_ * std::chrono::duration<double>(now - filled_at_).count());
  filled_at_ = now;
}

}  // namespace pgkeel
