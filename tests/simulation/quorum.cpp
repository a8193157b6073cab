#include "tests/simulation/quorum.h"

#include "replication/model/action.h"
#include "replication/sync/standby_names.h"

namespace pgkeel::simulation {

std::string text_of(const Quorum& quorum) {
  if (!quorum.waits()) return "";
  if (quorum.members == Quorum::kNobody) return kFencingStandbyName;
  if (quorum.members == Quorum::kEverybody) return "*";
  SyncQuorum named;
  named.acks = quorum.acks;
  for (std::size_t node = 0; node < 8; ++node) {
    if (quorum.names(name_bit(node))) named.members.emplace_back(1, static_cast<char>('a' + node));
  }
  return quorum.by_priority ? standby_names_text_by_priority(named) : standby_names_text(named);
}

Quorum quorum_of(std::string_view text) {
  if (text == kFencingStandbyName) return {.members = Quorum::kNobody, .acks = 1};
  if (text == "*") return {.members = Quorum::kEverybody, .acks = 1};
  const SyncQuorum named = parse_standby_names(std::string(text)).value_or(SyncQuorum{});
  Quorum quorum{.members = 0, .acks = named.acks, .by_priority = text.starts_with("FIRST")};
  for (const auto& member : named.members) quorum.members |= name_bit(static_cast<std::size_t>(member[0] - 'a'));
  return quorum;
}

}  // namespace pgkeel::simulation
