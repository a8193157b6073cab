#include "tests/chaos/history.h"

#include <algorithm>
#include <map>

namespace pgkeel::chaos {
namespace {

// Primaries by the time of their first acknowledgement.
std::map<std::string, std::size_t> order_of_primaries(const History& by_acknowledgement) {
  std::map<std::string, std::size_t> order;
  for (const auto& row : by_acknowledgement) order.emplace(row.taken_by, order.size());
  return order;
}

}  // namespace

std::size_t count_lost(const History& history, const std::unordered_set<std::uint64_t>& present) {
  return static_cast<std::size_t>(
      std::ranges::count_if(history, [&](const Acknowledgement& row) { return !present.contains(row.id); }));
}

std::size_t count_ghosts(const History& history, const std::unordered_set<std::uint64_t>& present) {
  std::unordered_set<std::uint64_t> acknowledged;
  for (const auto& row : history) acknowledged.insert(row.id);
  return static_cast<std::size_t>(
      std::ranges::count_if(present, [&](std::uint64_t id) { return !acknowledged.contains(id); }));
}

std::size_t count_two_primary_moments(const History& history) {
  History by_acknowledgement = history;
  std::ranges::sort(by_acknowledgement, {}, &Acknowledgement::acknowledged);
  History by_beginning = history;
  std::ranges::sort(by_beginning, {}, &Acknowledgement::began);
  const auto order = order_of_primaries(by_acknowledgement);
  std::size_t moments = 0;
  std::size_t newest = 0;
  auto next = by_acknowledgement.begin();
  for (const auto& row : by_beginning) {
    for (; next != by_acknowledgement.end() && next->acknowledged < row.began; ++next) {
      newest = std::max(newest, order.at(next->taken_by));
    }
    if (order.at(row.taken_by) < newest) ++moments;
  }
  return moments;
}

Duration longest_gap(const History& history, Instant from, Instant to) {
  std::vector<Instant> moments = {from, to};
  for (const auto& row : history) {
    if (row.acknowledged > from && row.acknowledged < to) moments.push_back(row.acknowledged);
  }
  std::ranges::sort(moments);
  Duration longest{};
  for (std::size_t at = 1; at < moments.size(); ++at) longest = std::max(longest, moments[at] - moments[at - 1]);
  return longest;
}

Duration longest_gap_of_one(const History& history, Instant from, Instant to) {
  std::map<std::uint32_t, History> by_client;
  for (const auto& row : history) by_client[row.client].push_back(row);
  Duration longest{};
  for (const auto& [client, rows] : by_client) longest = std::max(longest, longest_gap(rows, from, to));
  return longest;
}

std::size_t count_late_writes(const std::vector<Attempt>& attempts,
                              const std::unordered_map<std::uint64_t, Instant>& executed_at,
                              const std::vector<Freeze>& freezes, Duration lease) {
  const auto is_late = [&](const Attempt& attempt) {
    const auto executed = executed_at.find(attempt.id);
    return executed != executed_at.end() && std::ranges::any_of(freezes, [&](const Freeze& freeze) {
             return freeze.address == attempt.through && freeze.until - freeze.from > lease &&
                    attempt.began < freeze.until && executed->second > freeze.until;
           });
  };
  return static_cast<std::size_t>(std::ranges::count_if(attempts, is_late));
}

}  // namespace pgkeel::chaos
