// Who may have how many of this process's descriptors. Pure.
#pragma once

#include <cstdint>

#include "proxy/base/result.h"

namespace pgkeel {

struct DescriptorNeeds {
  std::uint32_t workers = 1;
  std::uint32_t endpoints = 1;  // of all clusters
  std::uint32_t nodes = 1;      // likewise
  std::uint32_t clients = 1;    // max_client_connections
};

struct DescriptorPlan {
  std::uint32_t data_path = 0;  // for clients, and links to servers; what is above stays for the control side
  std::uint32_t newcomers = 0;  // of these, for clients that have not said who they are
  std::uint32_t clients = 0;    // that may be past that: as many as were asked for, or as there is room for
  std::uint64_t wanted = 0;     // the limit with which there would be room for all that were asked for
};

// An error where `limit` leaves too little to serve anybody.
Result<DescriptorPlan> plan_descriptors(std::uint64_t limit, const DescriptorNeeds& needs);

}  // namespace pgkeel
