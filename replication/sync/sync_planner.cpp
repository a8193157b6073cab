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

// As much of the promise as names of `goal` would keep: of its members alone where that says anything, since fewer
// positions are then needed; else of the present ones and its members.
SyncQuorum weakened(const SyncQuorum& promise, const SyncQuorum& goal) {
  const std::uint32_t lost = size_of(difference(promise.members, goal.members));
  if (const std::uint32_t acks = std::min(minus(promise.acks, lost), goal.acks); acks > 0) return {goal.members, acks};
  std::vector<std::string> either;
  std::ranges::set_union(promise.members, goal.members, std::back_inserter(either));
  return quorum(std::move(either), std::min(promise.acks, goal.acks));
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

SyncQuorum promise_without(const SyncQuorum& promise, const std::vector<std::string>& impostors) {
  std::vector<std::string> members;
  std::ranges::copy_if(promise.members, std::back_inserter(members), [&](const std::string& member) {
    return std::ranges::find(impostors, member) == impostors.end();
  });
  const std::uint32_t doubtful = size_of(promise.members) - size_of(members);
  return quorum(std::move(members), minus(promise.acks, doubtful));
}

std::uint32_t positions_needed(const SyncQuorum& promise) {
  return promise.empty() ? 0 : size_of(promise.members) - promise.acks + 1;
}

SyncState next_step(const SyncState& state, const SyncQuorum& goal) {
  SyncState next = state;
  if (state.standby_names == goal) {
    if (state.settled) next.promise = goal;
    return next;
  }
  if (!keeps_promise(goal, state.promise)) {
    next.promise = weakened(state.promise, goal);
    assert(implies(state.promise, next.promise));
    assert(keeps_promise(state.standby_names, next.promise));
    assert(keeps_promise(goal, next.promise));
    return next;
  }
  next.standby_names = goal;
  next.settled = false;
  return next;
}

}  // namespace pgkeel
