// Exit statuses of every verb (design 3.1).
#pragma once

#include <iostream>
#include <string_view>

namespace pgkeel {

constexpr int kExitDone = 0;
constexpr int kExitRefused = 1;  // refused or failed: one line on stderr says why and what to do
constexpr int kExitUsage = 2;

// Says why, and returns the exit status.
inline int fail(std::string_view why, int exit_status = kExitRefused) {
  std::cerr << "pgkeel: " << why << "\n";
  return exit_status;
}

}  // namespace pgkeel
