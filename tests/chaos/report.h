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
  Duration gap{};      // the longest that clients saw, from the fault until all was redundant again
  Duration settled{};  // from the end of the fault until all was redundant again
  std::size_t lost = 0;
  bool primary_changed = false;
};

struct Totals {
  std::uint64_t seed = 0;
  std::string durability;
  std::size_t servers = 0;
  bool with_agents = false;
  std::size_t acknowledged = 0;
  std::size_t lost = 0;
  std::size_t ghosts = 0;
  std::size_t two_primary_moments = 0;
  std::size_t rebuilt = 0;  // standbys, by the harness
  std::map<std::string, std::size_t> client_errors;
  std::string failure;  // why the run ended early; empty: it did not
};

std::string line_about(std::size_t round, const RoundResult& result);
nlohmann::ordered_json summary(const std::vector<RoundResult>& rounds, const Totals& totals);

}  // namespace pgkeel::chaos
