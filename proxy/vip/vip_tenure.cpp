#include "proxy/vip/vip_tenure.h"

#include <algorithm>
#include <array>

namespace pgkeel {
namespace {

using namespace std::chrono_literals;

// One may be lost, or come while a switch is still learning; then a reminder now and again.
constexpr std::array<Duration, 6> kAnnounceAfter = {0ms, 100ms, 200ms, 400ms, 800ms, 1600ms};
constexpr Duration kAnnounceEvery = 30s;

constexpr Duration kRetryAfter = 200ms;
constexpr Duration kRemovalTakes = 20ms;      // so much before the deadline it is removed
constexpr Duration kRefreshAhead = 250ms;     // so much before its end in the kernel it is prolonged
constexpr Duration kWorthwhile = 400ms;       // prolonging by less is not worth the news that it makes on the host
constexpr Duration kStillWorthwhile = 150ms;  // … where nothing else will come
constexpr Duration kTimerLateness = 50ms;
constexpr std::int64_t kLongestSeconds = 3600;

// The most that the kernel may be told: it will have removed the address before `until`.
std::int64_t seconds_until(Instant until, Instant now) {
  const Duration left = until - now - VipTenure::kKernelLateness;
  return std::clamp<std::int64_t>(std::chrono::floor<std::chrono::seconds>(left).count(), 0, kLongestSeconds);
}

}  // namespace

void VipTenure::hold(Instant until) {
  until_ = until;
  leave_by_.reset();
}

void VipTenure::leave(Instant by, Instant until) {
  until_ = until;
  // What was said because its time seemed to run out has been done by now; who has come since is told too.
  if (!leave_by_) farewell_said_ = false;
  leave_by_ = by;
}

Instant VipTenure::goes_at() const {
  const bool end_is_known = kernel_end_ != Instant{};
  return end_is_known ? std::min(remove_at(), kernel_end_) : remove_at();
}

Instant VipTenure::remove_at() const {
  return leave_by_ ? std::min(until_ - kRemovalTakes, *leave_by_) : until_ - kRemovalTakes;
}

VipWork VipTenure::step(Instant now) {
  if (now >= remove_at()) {
    if (!is_held_) return {};
    if (now < retry_at_) return {.again_at = retry_at_};
    return {.kind = VipWork::Kind::kRemove};
  }
  if (leave_by_ && !is_held_) return {};  // it has gone before
  const std::int64_t seconds = seconds_until(until_, now);
  const Instant possible_end = now + seconds * 1s;
  // The last moment at which the kernel can be told one second; later it can only run out.
  const Instant last_chance = until_ - kKernelLateness - 1s - kTimerLateness;
  const Instant refresh_at = std::max(std::min(kernel_end_ - kRefreshAhead, last_chance), retry_at_);
  const Duration gain = possible_end - kernel_end_;
  const bool is_due = !is_held_ || gain > kWorthwhile || (now >= refresh_at && gain > kStillWorthwhile);
  if (seconds >= 1 && is_due && now >= retry_at_) {
    return {
        .kind = VipWork::Kind::kSet, .lifetime_seconds = static_cast<std::uint32_t>(seconds), .taken_anew = !is_held_};
  }
  if (!is_held_) return {.again_at = seconds >= 1 ? retry_at_ : Instant::max()};
  const Instant farewell_at = leave_by_ ? now : goes_at() - kFarewellTakes;
  const bool may_say_farewell = leave_by_ || kernel_end_ != Instant{};
  if (may_say_farewell && now >= farewell_at && !farewell_said_) return {.kind = VipWork::Kind::kFarewell};
  if (farewell_said_ && now < farewell_at) return {.kind = VipWork::Kind::kStay};
  if (now >= announce_at_) return {.kind = VipWork::Kind::kAnnounce};

  Instant again_at = std::min(remove_at(), announce_at_);
  if (may_say_farewell && !farewell_said_) again_at = std::min(again_at, farewell_at);
  if (refresh_at > now && refresh_at <= last_chance + kTimerLateness) again_at = std::min(again_at, refresh_at);
  return {.again_at = again_at};
}

void VipTenure::was_set(Instant asked_at, std::uint32_t lifetime_seconds) {
  if (!is_held_) {
    announced_ = 0;
    announce_at_ = asked_at;
    farewell_said_ = false;
  }
  is_held_ = true;
  kernel_end_ = asked_at + lifetime_seconds * 1s;
  retry_at_ = {};
}

void VipTenure::was_left_by_another() {
  is_held_ = true;
  farewell_said_ = false;
  kernel_end_ = {};
}

void VipTenure::was_not_set(Instant now) {
  retry_at_ = now + kRetryAfter;
}

void VipTenure::was_removed() {
  is_held_ = false;
  announce_at_ = Instant::max();
  retry_at_ = {};
}

void VipTenure::was_announced(Instant now) {
  ++announced_;
  announce_at_ = now + (announced_ < kAnnounceAfter.size() ? kAnnounceAfter.at(announced_) : kAnnounceEvery);
}

void VipTenure::vanished() {
  was_removed();
}

void VipTenure::link_came_back(Instant now) {
  if (!is_held_) return;
  announced_ = 0;
  announce_at_ = now;
}

}  // namespace pgkeel
