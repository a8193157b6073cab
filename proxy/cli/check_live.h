// `pgkeel check --live`: asks every node of every cluster now, and says what would go wrong in the next failover or
// rejoin.
#pragma once

#include <string>
#include <utility>
#include <vector>

#include "config/config.h"
#include "replication/readiness/finding.h"

namespace pgkeel {

// To stdout. 0: a failover and a rejoin would work now; 1: a finding is an error.
int check_live(const Config& config, bool json);

// For people: per cluster the answer, then each finding and below it what mends it. Pure.
std::string readiness_text(const std::string& cluster, const Readiness& readiness);

}  // namespace pgkeel
