#include "replication/sync/standby_names.h"

#include <charconv>
#include <string_view>

namespace pgkeel {

std::string standby_names_text(const SyncQuorum& quorum) {
  if (quorum.empty()) return "";
  std::string names;
  for (const auto& member : quorum.members) {
    if (!names.empty()) names += ", ";
    // Quoted: a node may be called "any" or "first". Names of nodes have no quotes in them (config).
    names.append("\"").append(member).append("\"");
  }
  return "ANY " + std::to_string(quorum.acks) + " (" + names + ")";
}

std::optional<SyncQuorum> parse_standby_names(const std::string& text) {
  SyncQuorum quorum;
  constexpr std::string_view kBegin = "ANY ";
  if (text.starts_with(kBegin)) {
    std::from_chars(text.data() + kBegin.size(), text.data() + text.size(), quorum.acks);
    for (auto open = text.find('"'); open != std::string::npos;) {
      const auto close = text.find('"', open + 1);
      if (close == std::string::npos) break;
      quorum.members.push_back(text.substr(open + 1, close - open - 1));
      open = text.find('"', close + 1);
    }
  }
  if (!quorum.well_formed() || standby_names_text(quorum) != text) return std::nullopt;
  return quorum;
}

}  // namespace pgkeel
