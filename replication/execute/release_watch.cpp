#include "replication/execute/release_watch.h"

#include <algorithm>

namespace pgkeel {

using namespace std::chrono_literals;

namespace {

constexpr Duration kCountsFor = 10min;
constexpr Duration kFirstPause = 2s;  // after the second release; it doubles with each further one
constexpr Duration kLongestPause = 60s;

Duration pause_after(std::size_t releases) {
  if (releases < 2) return Duration::zero();
  Duration pause = kFirstPause;
  for (std::size_t i = 2; i < releases && pause < kLongestPause; ++i) pause *= 2;
  return std::min(pause, kLongestPause);
}

}  // namespace

void ReleaseWatch::memory_changed(const ClusterMemory& before, const ClusterMemory& now_held, Instant now) {
  if (before.epoch != now_held.epoch) return;  // each primary begins anew, by itself
  for (const auto& member : before.standby_names.members) {
    const bool by_order = now_held.nodes_maintained.contains(member) || now_held.phase != Phase::kSteady;
    if (by_order || now_held.standby_names.contains(member)) continue;
    auto& releases = releases_[member];
    std::erase_if(releases, [&](Instant when) { return now - when > kCountsFor; });
    releases.push_back(now);
    const Duration pause = pause_after(releases.size());
    rests_[member] = {now + pause, static_cast<std::uint32_t>(releases.size()), pause};
  }
}

}  // namespace pgkeel
