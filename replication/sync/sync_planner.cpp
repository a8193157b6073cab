#include "replication/sync/sync_planner.h"

#include <algorithm>
#include <cassert>
#include <iterator>
#include <utility>

namespace pgkeel {
namespace {

std::uint32_t size_of(const std::vector<std::string>& names) {
  return static_cast<std::uint32_t>(names.size());
}

std::vector<std::string> difference(const std::vector<std::string>& left, const std::vector<std::string>& right) {
  std::vector<std::string> rest;
  std::ranges::set_difference(left, right, std::back_inserter(rest));
  return rest;
}

std::uint32_t minus(std::uint32_t left, std::uint32_t right) {
  return left > right ? left - right : 0;
}

SyncQuorum quorum(std::vector<std::string> members, std::uint32_t acks) {
  if (acks == 0) return {};
  return {std::move(members), acks};
}

std::vector<std::string> either(const std::vector<std::string>& left, const std::vector<std::string>& right) {
  if (left == right) return left;
  std::vector<std::string> names;
  std::ranges::set_union(left, right, std::back_inserter(names));
  return names;
}

// As much of the promise as these names would keep: of their members alone where that says anything, since fewer
// positions are then needed; else of the present ones and theirs.
SyncQuorum weakened(const SyncQuorum& promise, const SyncQuorum& names) {
  const std::uint32_t lost = size_of(difference(promise.members, names.members));
  if (const std::uint32_t acks = std::min(minus(promise.acks, lost), names.acks); acks > 0)
    return {names.members, acks};
  return quorum(either(promise.members, names.members), std::min(promise.acks, names.acks));
}

}  // namespace

bool keeps_promise(const SyncQuorum& standby_names, const SyncQuorum& promise) {
  if (promise.empty()) return true;
  // At worst every standby outside of the promise is among those that acknowledge.
  const std::uint32_t outside = size_of(difference(standby_names.members, promise.members));
  return minus(standby_names.acks, outside) >= promise.acks;
}

bool implies(const SyncQuorum& promise, const SyncQuorum& weaker) {
  return minus(promise.acks, size_of(difference(promise.members, weaker.members))) >= weaker.acks;
}

SyncQuorum quorum_of(std::vector<std::string> standbys) {
  std::ranges::sort(standbys);
  const std::uint32_t acks = (size_of(standbys) + 1) / 2;
  return quorum(std::move(standbys), acks);
}

SyncQuorum promise_without(const SyncQuorum& promise, const std::string& member) {
  if (!promise.contains(member)) return promise;
  return quorum(difference(promise.members, {member}), promise.acks - 1);
}

SyncQuorum discounted(const SyncQuorum& names, std::uint32_t impostors) {
  return quorum(names.members, minus(names.acks, impostors));
}

SyncQuorum mixture(const SyncQuorum& left, const SyncQuorum& right) {
  return quorum(either(left.members, right.members), std::min(left.acks, right.acks));
}

std::uint32_t positions_needed(const SyncQuorum& promise) {
  return promise.empty() ? 0 : size_of(promise.members) - promise.acks + 1;
}

SyncState next_step(const SyncState& state, const SyncQuorum& goal) {
  SyncState next = state;
  if (const SyncQuorum now = discounted(state.in_force, state.impostors); !keeps_promise(now, state.promise)) {
    next.promise = weakened(state.promise, now);
    return next;
  }
  if (state.standby_names == goal) {
    if (state.settled) next.promise = goal;
    return next;
  }
  const SyncQuorum meanwhile = mixture(state.in_force, goal);
  if (const SyncQuorum then = discounted(meanwhile, state.impostors); !keeps_promise(then, state.promise)) {
    next.promise = weakened(state.promise, then);
    assert(implies(state.promise, next.promise));
    assert(keeps_promise(then, next.promise));
    return next;
  }
  next.standby_names = goal;
  next.in_force = meanwhile;
  next.settled = false;
  return next;
}

SyncState after_all_steps(SyncState state, const SyncQuorum& goal) {
  while (true) {
    SyncState next = next_step(state, goal);
    if (next == state) return state;
    state = std::move(next);
  }
}

}  // namespace pgkeel
