// "Any `acks` of `members`": what synchronous_standby_names demands of standbys, and what is promised of the commits
// that were acknowledged under it. Plain data.
#pragma once

#include <algorithm>
#include <cstdint>
#include <functional>
#include <string>
#include <vector>

namespace pgkeel {

struct SyncQuorum {
  std::vector<std::string> members;  // names of nodes, sorted, each once; none: exactly where acks is 0
  std::uint32_t acks = 0;

  [[nodiscard]] bool empty() const { return acks == 0; }
  [[nodiscard]] bool well_formed() const {
    const bool sorted = std::ranges::adjacent_find(members, std::greater_equal<>()) == members.end();
    return sorted && acks <= members.size() && members.empty() == (acks == 0);
  }
  [[nodiscard]] bool contains(const std::string& node) const { return std::ranges::binary_search(members, node); }

  friend bool operator==(const SyncQuorum&, const SyncQuorum&) = default;
};

}  // namespace pgkeel
