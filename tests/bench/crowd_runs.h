// What the crowd benchmark does to an access point, and what it measures meanwhile: thousands of sessions through a
// failover, a flood of connects, and connections that never finish their first sentence. Each starts servers and a
// pgkeel of its own. Throws. One thread, which starts others.
#pragma once

#include <cstddef>
#include <string>
#include <vector>

#include <nlohmann/json.hpp>

namespace pgkeel::test {

struct CrowdOptions {
  std::size_t sessions = 5000;  // through the failover
  unsigned login_rate = 200;    // as pgkeel's configuration has it
  std::size_t connects_per_second = 10'000;
  int seconds = 5;  // of the flood, and of the slow clients
  std::size_t slow_clients = 4000;
};

struct CrowdReport {
  nlohmann::ordered_json figures;
  std::vector<std::string> failures;  // what was lost, or refused, or told wrongly
};

CrowdReport run_failover(const CrowdOptions& options);
CrowdReport run_flood(const CrowdOptions& options);
CrowdReport run_slow_clients(const CrowdOptions& options);

}  // namespace pgkeel::test
