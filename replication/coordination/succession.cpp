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
    if (const auto unable = view.unable.find(member); unable != view.unable.end()) {
      succession.why_not = unable->second;
      continue;
    }
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

Succession decide_succession_of_unable(const SuccessionView& view) {
  Succession succession;
  if (view.obstacles.empty()) return succession;
  succession.cluster = view.obstacles.begin()->first;
  std::string& why_not = succession.why_not;
  const auto speaks_against = [&why_not](const std::string& clause) {
    why_not += (why_not.empty() ? "" : "; ") + clause;
  };
  for (const auto& [member, heard] : view.others) {
    const std::string lost = not_heard_by(view.own, heard);
    if (const auto unable = view.unable.find(member); unable != view.unable.end()) {
      speaks_against(unable->second);
    } else if (const auto far = view.out_of_reach.find(member); far != view.out_of_reach.end()) {
      speaks_against(far->second);
    } else if (!lost.empty()) {
      speaks_against("pgkeel " + member + " does not hear from the primary of " + lost + ", which this one hears");
    } else {
      succession.heir = member;
      break;
    }
  }
  if (succession.heir.empty()) {
    if (why_not.empty()) why_not = "no other pgkeel answers";
    return succession;
  }
  why_not.clear();
  for (const auto& [cluster, what] : view.under_way) {
    if (!view.obstacles.contains(cluster)) why_not = "something is under way: " + what;
  }
  if (!why_not.empty()) succession.heir.clear();
  return succession;
}

}  // namespace pgkeel
