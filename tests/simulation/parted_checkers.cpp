#include "tests/simulation/parted_checkers.h"

#include <algorithm>

namespace pgkeel::simulation {

using namespace std::chrono_literals;

namespace {
constexpr Duration kTimeToSee = 5s;  // with answers that get lost
}  // namespace

void PartedCheckers::stepped() {
  for (const auto& standby : world_.servers) {
    const bool follows = standby.up() && standby.standby_signal && standby.upstream != standby.number;
    if (!follows) {
      followings_.erase(standby.number);
      continue;
    }
    const auto [found, is_new] =
        followings_.try_emplace(standby.number, standby.upstream, standby.wal.timeline, world_.queue.now());
    Following& following = found->second;
    const bool is_the_same = following.upstream == standby.upstream && following.timeline == standby.wal.timeline;
    if (!is_the_same) following = {standby.upstream, standby.wal.timeline, world_.queue.now()};
  }
}

void PartedCheckers::action_started(const Action& action) const {
  // Before there was another primary it is not asked for, where a history cannot be read for a moment.
  if (action.kind != ActionKind::kRejoin || disk_.memory.nodes.empty()) return;
  const Server& primary = *world_.server(disk_.memory.primary);
  for (const auto& [number, following] : followings_) {
    const Server& standby = world_.servers[number];
    if (&standby == &primary || world_.servers[following.upstream].name != action.node) continue;
    const Wal& wal = standby.wal;
    const bool has_parted =
        wal.timeline > primary.wal.timeline || (wal.timeline == primary.wal.timeline && !wal.agrees_with(primary.wal));
    if (!has_parted) continue;
    const Instant could_act_since =
        std::max({following.since, standby.undisturbed_since, primary.undisturbed_since, world_.pgkeel_well_since()});
    if (could_act_since != Instant::max() && world_.queue.now() - could_act_since > kTimeToSee)
      world_.violated(action.node + " is made a standby of " + primary.name + " while " + standby.name +
                      ", of another history, receives from it");
  }
}

void PartedCheckers::promotion_sent(const std::string& node) const {
  if (world_.server(node)->wal.mixed && !loss_is_accepted(disk_.memory))
    world_.violated(node + " is promoted, and it is corrupt: it has streamed on from another history");
}

}  // namespace pgkeel::simulation
