// `pgkeel keygen`: a small authority, and certificates for pgkeel and its agents. What is there already is never
// overwritten: a later call with the same folder adds others under the same authority.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

namespace pgkeel {

struct KeygenOptions {
  std::string folder;
  std::vector<std::string> agents;  // "HOST", or "HOST,ADDRESS,…": all names by which pgkeel reaches it
  std::uint32_t days = 3650;
  std::vector<std::string> proxies = {};  // the same, of pgkeels that reach each other
  std::vector<std::string> admins = {};   // the same, of admin endpoints
};

int run_keygen(const KeygenOptions& options);

}  // namespace pgkeel
