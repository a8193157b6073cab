// What a run found, told as it happens and summed up as JSON. Plain; one thread.
#pragma once

#include <cstdint>
#include <map>
#include <string>
#include <vector>

#include <nlohmann/json.hpp>

#include "proxy/base/time.h"

namespace pgkeel::chaos {

struct RoundResult {
  std::string kind;
  Duration fault_lasted{};
  Duration gap{};         // the longest that clients saw, from the fault until all was redundant again
  Duration gap_of_one{};  // the same of the client for whom it was the longest
  Duration settled{};     // from the end of the fault until all was redundant again
  std::size_t lost = 0;
  std::map<std::string, std::size_t> client_errors;
  bool primary_changed = false;
  bool is_unwanted = false;  // the primary changed, or a client noticed, where it must not
};

struct Totals {
  std::uint64_t seed = 0;
  std::string durability;
  std::size_t servers = 0;
  bool with_agents = false;
  std::size_t pgkeels = 1;
  bool with_vip = false;
  std::size_t acknowledged = 0;
  std::size_t lost = 0;
  std::size_t ghosts = 0;
  std::size_t two_primary_moments = 0;
  std::size_t late_writes = 0;         // of pgkeels that had stood still for longer than their lease
  std::size_t two_epoch_moments = 0;   // of several pgkeels: one led to an older primary than another one before
  std::size_t two_holder_moments = 0;  // of the virtual IP
  std::size_t connects = 0;            // of a client that does nothing else
  std::size_t connects_failed = 0;
  std::size_t connects_refused_in_turn = 0;  // of these, while nothing happened but a restart of one after the other
  std::size_t unwanted = 0;                  // rounds in which the primary changed, or a client noticed, in vain
  std::size_t rebuilt = 0;                   // standbys, by the harness
  std::map<std::string, std::size_t> client_errors;
  std::string failure;  // why the run ended early; empty: it did not

  [[nodiscard]] bool is_good() const {
    return failure.empty() && lost + two_primary_moments + late_writes + two_epoch_moments + two_holder_moments +
                                      connects_refused_in_turn + unwanted ==
                                  0;
  }
};

std::string line_about(std::size_t round, const RoundResult& result);
nlohmann::ordered_json summary(const std::vector<RoundResult>& rounds, const Totals& totals);

}  // namespace pgkeel::chaos
