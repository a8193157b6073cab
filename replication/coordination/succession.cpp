#include "replication/coordination/succession.h"

#include <algorithm>
#include <cstddef>
#include <vector>

namespace pgkeel {
namespace {

bool hears(const PrimariesHeard& heard, const std::string& cluster) {
  const auto found = heard.find(cluster);
  return found != heard.end() && found->second;
}

// Of the clusters whose primary `less` does not hear; empty: it hears no more than `less`.
std::vector<std::string> heard_besides(const PrimariesHeard& more, const PrimariesHeard& less) {
  std::vector<std::string> clusters;
  for (const auto& [cluster, is_heard] : more) {
    if (is_heard && !hears(less, cluster)) clusters.push_back(cluster);
  }
  return clusters;
}

}  // namespace

std::string not_heard_by(const PrimariesHeard& from, const PrimariesHeard& to) {
  std::string names;
  for (const auto& cluster : heard_besides(from, to)) names += (names.empty() ? "" : ", ") + cluster;
  return names;
}

Succession decide_succession(const SuccessionView& view, Instant now) {
  Succession succession;
  std::size_t most = 0;
  for (const auto& [member, heard] : view.others) {
    const auto gained = heard_besides(heard, view.own);
    if (gained.empty()) continue;
    if (const std::string lost = not_heard_by(view.own, heard); !lost.empty()) {
      succession.why_not = "pgkeel " + member + " hears from the primary of " + gained.front() +
                           ", but not from that of " + lost + ", which this one hears";
      continue;
    }
    if (gained.size() <= most) continue;
    most = gained.size();
    succession.heir = member;
    succession.cluster = gained.front();
  }
  if (succession.heir.empty()) return succession;
  succession.why_not.clear();
  if (!view.under_way.empty()) {
    succession.why_not = "something is under way: " + view.under_way.begin()->second;
  } else if (view.handed_over_at && now < *view.handed_over_at + kHandOverPause) {
    succession.why_not = "it was handed over to this one less than " + format_duration(kHandOverPause) + " ago";
    succession.again_at = *view.handed_over_at + kHandOverPause;
  }
  if (!succession.why_not.empty()) succession.heir.clear();
  return succession;
}

}  // namespace pgkeel
