// A value of synchronous_standby_names: so many of these standbys, whichever, must have flushed a commit before it is
// acknowledged. Tests only.
#pragma once

#include <bit>
#include <cstdint>
#include <string>
#include <string_view>

namespace pgkeel::simulation {

struct Quorum {
  static constexpr std::uint32_t kEverybody = 0xff;  // '*'
  static constexpr std::uint32_t kNobody = 0x100;    // a name that no standby bears

  std::uint32_t members = 0;  // a bit for each node, by its number
  std::uint32_t acks = 0;     // 0: no commit waits
  bool by_priority = false;   // FIRST, behind a name that nobody bears; else ANY
  // Who set it: 0 is pgkeel, or whoever set the cluster up; else the number of what somebody did beside pgkeel.
  std::uint32_t meddling = 0;

  [[nodiscard]] bool waits() const { return acks > 0; }
  [[nodiscard]] bool names(std::uint32_t name) const {
    return waits() && (members == kEverybody || (members & name) != 0);
  }
  [[nodiscard]] bool same_value(const Quorum& other) const {
    return acks == other.acks && (acks == 0 || (members == other.members && by_priority == other.by_priority));
  }
};

// sync_priority of a walsender of this name that has read it; 0: it is not synchronous.
inline std::uint32_t priority_of(const Quorum& quorum, std::uint32_t name) {
  if (!quorum.names(name)) return 0;
  return quorum.by_priority ? 2 + static_cast<std::uint32_t>(std::popcount(quorum.members & (name - 1))) : 1;
}

constexpr std::uint32_t name_bit(std::size_t node) {
  return 1U << node;
}

// As it is written in postgresql.auto.conf, and read from there.
std::string text_of(const Quorum& quorum);
Quorum quorum_of(std::string_view text);

}  // namespace pgkeel::simulation
