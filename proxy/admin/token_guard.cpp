#include "proxy/admin/token_guard.h"

#include <algorithm>
#include <cctype>
#include <functional>

#include "proxy/base/ip_address.h"
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

std::string network_of(const std::string& address) {
  const auto parsed = parse_ip_address(address);
  return parsed ? format_ip_address(network_of_sender(*parsed)) : address;
}

}  // namespace

TokenGuard::Answer TokenGuard::check(const std::string& address, std::string_view authorization, Instant now) {
  const std::lock_guard lock(mutex_);
  const std::string network = network_of(address);
  const auto known = failures_.find(network);
  if (known != failures_.end() && now < known->second.blocked_until)
    return {.verdict = Verdict::kTooMany, .retry_after = known->second.blocked_until - now, .worth_telling = false};
  const auto shown = bearer_token(authorization);
  if (shown.empty()) return {};
  if (const AdminToken* token = find(shown)) {
    if (known != failures_.end()) failures_.erase(known);
    return {.verdict = Verdict::kGranted, .retry_after = {}, .worth_telling = false, .holder = token->holder};
  }
  make_room(now);
  Failures& failures = failures_[network];
  failures.last = now;
  const std::size_t hash = std::hash<std::string_view>()(shown);
  if (std::ranges::find(failures.hashes, hash) != failures.hashes.end())
    return {.verdict = Verdict::kWrong, .retry_after = {}, .worth_telling = false};
  if (failures.hashes.size() == kWrongFree) failures.hashes.erase(failures.hashes.begin());
  failures.hashes.push_back(hash);
  failures.count += 1;
  const Duration pause = pause_after(failures.count);
  failures.blocked_until = now + pause;
  return {.verdict = Verdict::kWrong,
          .retry_after = pause,
          .worth_telling = failures.count == 1 || pause > Duration::zero()};
}

// It takes as long whichever it is, and whether it is one.
const AdminToken* TokenGuard::find(std::string_view shown) const {
  const AdminToken* found = nullptr;
  for (const AdminToken& token : tokens_) {
    if (equal_in_constant_time(shown, token.text)) found = &token;
  }
  return found;
}

void TokenGuard::make_room(Instant now) {
  std::erase_if(failures_, [&](const auto& entry) { return now - entry.second.last >= kForgottenAfter; });
  if (failures_.size() < kAddressesMax) return;
  failures_.erase(std::ranges::min_element(failures_, {}, [](const auto& entry) { return entry.second.last; }));
}

}  // namespace pgkeel
