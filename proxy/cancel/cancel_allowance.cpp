#include "proxy/cancel/cancel_allowance.h"

#include <algorithm>
#include <chrono>
#include <span>

namespace pgkeel {
namespace {

constexpr Duration kForgetAfter = std::chrono::seconds(2);  // a bucket is full by then, however empty it was
constexpr std::array<std::uint8_t, 12> kIpv4Prefix{0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0xff, 0xff};
constexpr std::size_t kNetworkBytes = 8;

static_assert(CancelAllowance::kBurst / CancelAllowance::kRate <= 2);

std::array<std::uint8_t, 16> sender_of(const IpAddress& address) {
  auto sender = address.bytes;
  if (!std::ranges::equal(std::span(sender).first(kIpv4Prefix.size()), kIpv4Prefix))
    std::ranges::fill(std::span(sender).subspan(kNetworkBytes), std::uint8_t{0});
  return sender;
}

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
  Bucket& own = by_sender_.try_emplace(sender_of(sender), Bucket{kBurst * kPartOfOne, now}).first->second;
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
