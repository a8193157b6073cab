#include "proxy/cancel/cancel_allowance.h"

#include <algorithm>
#include <chrono>

namespace pgkeel {
namespace {

constexpr Duration kForgetAfter = std::chrono::seconds(2);  // a bucket is full by then, however empty it was

static_assert(CancelAllowance::kBurst / CancelAllowance::kRate <= 2);

}  // namespace

void CancelAllowance::Bucket::fill(double part, Instant now) {
  if (now <= filled_at) return;
  const double seconds = std::chrono::duration<double>(now - filled_at).count();
  tokens = std::min(kBurst * part, tokens + kRate * part * seconds);
  filled_at = now;
}

bool CancelAllowance::take(const IpAddress& sender, Instant now) {
  const std::lock_guard lock(mutex_);
  all_.fill(1, now);
  if (all_.tokens < 1) return false;
  if (now - forgot_at_ >= kForgetAfter) {
    std::erase_if(by_sender_, [&](const auto& each) { return now - each.second.filled_at >= kForgetAfter; });
    forgot_at_ = now;
  }
  Bucket& own = by_sender_.try_emplace(network_of_sender(sender).bytes, Bucket{kBurst * kPartOfOne, now}).first->second;
  own.fill(kPartOfOne, now);
  if (own.tokens < 1) return false;
  own.tokens -= 1;
  all_.tokens -= 1;
  return true;
}

std::size_t CancelAllowance::senders() const {
  const std::lock_guard lock(mutex_);
  return by_sender_.size();
}

}  // namespace pgkeel
