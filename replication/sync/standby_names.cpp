#include "replication/sync/standby_names.h"

#include <charconv>
#include <string_view>

namespace pgkeel {

namespace {

constexpr std::string_view kAny = "ANY ";
constexpr std::string_view kFirst = "FIRST ";
constexpr std::string_view kNobodyQuoted = "\"pgkeel: nobody\"";  // no node is called so (config)
constexpr std::string_view kNobody = kNobodyQuoted.substr(1, kNobodyQuoted.size() - 2);

// Quoted: a node may be called "any" or "first". Names of nodes have no quotes in them (config).
std::string text_of(std::string_view method, std::uint32_t acks, std::string_view before_members,
                    const std::vector<std::string>& members) {
  std::string text(method);
  text.append(std::to_string(acks)).append(" (").append(before_members);
  const char* before = before_members.empty() ? "\"" : ", \"";
  for (const auto& member : members) {
    text.append(before).append(member).append("\"");
    before = ", \"";
  }
  text += ")";
  return text;
}

}  // namespace

std::string standby_names_text(const SyncQuorum& quorum) {
  return quorum.empty() ? "" : text_of(kAny, quorum.acks, "", quorum.members);
}

std::string standby_names_text_by_priority(const SyncQuorum& quorum) {
  return quorum.empty() ? "" : text_of(kFirst, quorum.acks, kNobodyQuoted, quorum.members);
}

std::optional<SyncQuorum> parse_standby_names(const std::string& text) {
  SyncQuorum quorum;
  const std::string_view method = text.starts_with(kFirst) ? kFirst : kAny;
  if (text.starts_with(method)) {
    std::from_chars(text.data() + method.size(), text.data() + text.size(), quorum.acks);
    for (auto open = text.find('"'); open != std::string::npos;) {
      const auto close = text.find('"', open + 1);
      if (close == std::string::npos) break;
      const std::string name = text.substr(open + 1, close - open - 1);
      if (name != kNobody) quorum.members.push_back(name);
      open = text.find('"', close + 1);
    }
  }
  const bool is_of_ours = standby_names_text(quorum) == text || standby_names_text_by_priority(quorum) == text;
  if (!quorum.well_formed() || !is_of_ours) return std::nullopt;
  return quorum;
}

}  // namespace pgkeel
