// The endpoints of a cluster that clients connect to.
#pragma once

#include <string>

namespace pgkeel {

enum class Endpoint {
  kWrite,     // always the primary
  kReadOnly,  // standbys that are close to it, else the primary
};

// What pgkeel, and another process that takes over from it, know an endpoint by: the name of its cluster, with
// "/read-only" behind it where it is that. No cluster can be called so.
inline std::string endpoint_name(const std::string& cluster, Endpoint endpoint) {
  return endpoint == Endpoint::kReadOnly ? cluster + "/read-only" : cluster;
}

}  // namespace pgkeel
