#include "health/shared_sight.h"

#include <utility>

namespace pgkeel {
namespace {

// What was heard of a node that is silent here must be clearly of now: both may have heard its last words. A death that
// was seen, or a refusal, is contradicted by nothing but an answer after it.
bool contradicts(const Suspicion& own, const OtherSight& other, Duration failure_timeout, Instant now) {
  const bool is_of_now = other.heard_at > own.last_heard && now - other.heard_at < failure_timeout / 2;
  if (own.liveness == Liveness::kSilent) return is_of_now;
  if (own.liveness == Liveness::kDead) return is_of_now && other.heard_at > own.since;
  return false;  // that it is stuck, it said itself
}

}  // namespace

SharedSight shared_sight(const Suspicion& own, const std::vector<OtherSight>& others, Duration failure_timeout,
                         Instant now) {
  for (const auto& other : others) {
    if (!contradicts(own, other, failure_timeout, now)) continue;
    Suspicion shared = own;
    shared.liveness = Liveness::kUnknown;
    shared.evidence = own.evidence + " here, but pgkeel " + other.pgkeel + " hears from it";
    shared.trouble = shared.evidence;
    return {std::move(shared), other.pgkeel};
  }
  return {own, ""};
}

}  // namespace pgkeel
