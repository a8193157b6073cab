#include "proxy/admin/token_guard.h"

#include <algorithm>
#include <cctype>

#include "proxy/base/secret.h"

namespace pgkeel {
namespace {

using namespace std::chrono_literals;

constexpr Duration kFirstPause = 1s;
constexpr Duration kLongestPause = 60s;
constexpr Duration kForgottenAfter = 10min;

// "Bearer TOKEN", the scheme in any case (RFC 9110). Empty: something else.
std::string_view bearer_token(std::string_view authorization) {
  constexpr std::string_view kScheme = "bearer ";
  if (authorization.size() <= kScheme.size()) return {};
  const bool is_bearer = std::ranges::equal(authorization.substr(0, kScheme.size()), kScheme, [](char c, char wanted) {
    return std::tolower(static_cast<unsigned char>(c)) == wanted;
  });
  return is_bearer ? authorization.substr(kScheme.size()) : std::string_view();
}

Duration pause_after(std::uint32_t wrong) {
  if (wrong < TokenGuard::kWrongFree) return Duration::zero();
  Duration pause = kFirstPause;
  for (std::uint32_t i = TokenGuard::kWrongFree; i < wrong && pause < kLongestPause; ++i) pause *= 2;
  return std::min(pause, kLongestPause);
}

}  // namespace

TokenGuard::Answer TokenGuard::check(const std::string& address, std::string_view authorization, Instant now) {
  const std::lock_guard lock(mutex_);
  const auto known = failures_.find(address);
  const auto shown = bearer_token(authorization);
  if (!shown.empty() && has_token() && equal_in_constant_time(shown, token_)) {
    if (known != failures_.end()) failures_.erase(known);
    return {.verdict = Verdict::kGranted, .retry_after = {}, .worth_telling = false};
  }
  if (known != failures_.end() && now < known->second.blocked_until)
    return {.verdict = Verdict::kTooMany, .retry_after = known->second.blocked_until - now, .worth_telling = false};
  if (shown.empty()) return {};
  make_room(now);
  Failures& failures = failures_[address];
  failures.count += 1;
  failures.last = now;
  const Duration pause = pause_after(failures.count);
  failures.blocked_until = now + pause;
  return {.verdict = Verdict::kWrong,
          .retry_after = pause,
          .worth_telling = failures.count == 1 || pause > Duration::zero()};
}

void TokenGuard::make_room(Instant now) {
  std::erase_if(failures_, [&](const auto& entry) { return now - entry.second.last >= kForgottenAfter; });
  if (failures_.size() < kAddressesMax) return;
  failures_.erase(std::ranges::min_element(failures_, {}, [](const auto& entry) { return entry.second.last; }));
}

}  // namespace pgkeel
