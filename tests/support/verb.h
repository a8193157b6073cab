// Runs a verb of the pgkeel that was built beside the tests, as a user does. Blocks. Any thread.
#pragma once

#include <chrono>
#include <string>
#include <vector>

#include "proxy/base/time.h"

namespace pgkeel::test {

struct VerbResult {
  int exit_status = 0;
  std::string output;
  std::string error_output;
};

VerbResult run_pgkeel(const std::vector<std::string>& arguments, const std::vector<std::string>& environment = {},
                      Duration limit = std::chrono::minutes(1));

}  // namespace pgkeel::test
