#include "tests/simulation/quorum.h"

#include "replication/model/action.h"

namespace pgkeel::simulation {

std::string text_of(const Quorum& quorum) {
  if (!quorum.waits()) return "";
  if (quorum.members == Quorum::kNobody) return kFencingStandbyName;
  if (quorum.members == Quorum::kEverybody) return "*";
  std::string names;
  for (std::size_t node = 0; node < 8; ++node) {
    if (!quorum.names(name_bit(node))) continue;
    if (!names.empty()) names += ", ";
    names += {'"', static_cast<char>('a' + node), '"'};
  }
  return "ANY " + std::to_string(quorum.acks) + " (" + names + ")";
}

Quorum quorum_of(std::string_view text) {
  if (text.empty()) return {};
  if (text == kFencingStandbyName) return {.members = Quorum::kNobody, .acks = 1};
  if (text == "*") return {.members = Quorum::kEverybody, .acks = 1};
  Quorum quorum;
  for (std::size_t at = 0; at < text.size(); ++at) {
    if (text[at] >= '0' && text[at] <= '9') quorum.acks = quorum.acks * 10 + static_cast<std::uint32_t>(text[at] - '0');
    if (text[at] != '"' || at + 2 >= text.size()) continue;
    quorum.members |= name_bit(static_cast<std::size_t>(text[at + 1] - 'a'));
    at += 2;
  }
  return quorum;
}

}  // namespace pgkeel::simulation
