#include "replication/execute/rejoin_watch.h"

#include <algorithm>
#include <utility>

#include "replication/decide/situation.h"

namespace pgkeel {
namespace {

// What a server writes anyway changes nothing.
constexpr std::uint64_t kLeastMoreRoom = 256ULL << 20;

bool is_much_more(std::uint64_t room, std::uint64_t before) {
  return room > before && room - before >= std::max(before / 4, kLeastMoreRoom);
}

}  // namespace

bool RejoinWatch::Presence::saw(bool is_here, Instant now) {
  if (is_here_ != is_here) {
    const bool comes_back = is_here_ && is_here;
    was_away_for_long_ = was_away_for_long_ || (comes_back && now - since_ >= kAwayForLong);
    is_here_ = is_here;
    since_ = now;
  }
  return is_here && now - since_ >= kAwayForLong && std::exchange(was_away_for_long_, false);
}

// While an attempt runs its copy takes room, and gives it back where it fails.
bool RejoinWatch::has_more_room(Seen& seen) {
  if (seen.is_tried_now) return false;
  bool has_more = false;
  for (const auto& [disk, room] : seen.room) {
    const auto tried = seen.most_room_tried.find(disk);
    if (tried == seen.most_room_tried.end() || !is_much_more(room, tried->second)) continue;
    tried->second = room;
    has_more = true;
  }
  return has_more;
}

bool RejoinWatch::is_another_server(Seen& seen, Instant now) {
  if (!seen.answers_since || now - *seen.answers_since < kAwayForLong || seen.timeline == seen.timeline_tried)
    return false;
  seen.timeline_tried = seen.timeline;
  return true;
}

std::set<std::string> RejoinWatch::saw(const std::vector<NodeView>& nodes, const std::string& primary, Instant now) {
  std::set<std::string> anew = std::exchange(ordered_, {});
  if (std::exchange(primary_, primary) != primary) presence_of_primary_ = {};
  const auto found = std::ranges::find(nodes, primary, &NodeView::name);
  const NodeView* upstream = found == nodes.end() ? nullptr : &*found;
  const bool primary_is_back = presence_of_primary_.saw(upstream != nullptr && upstream->answers_as_primary(), now);
  const bool all_begin_anew = std::exchange(reconfigured_, false) || primary_is_back;
  std::erase_if(seen_,
                [&](const auto& seen) { return std::ranges::find(nodes, seen.first, &NodeView::name) == nodes.end(); });
  for (const auto& node : nodes) {
    Seen& seen = seen_[node.name];
    seen.room = node.room;
    if (!node.answering()) {
      seen.answers_since.reset();
    } else {
      if (!seen.answers_since) seen.answers_since = now;
      seen.timeline = node.facts->timeline;
    }
    const bool streams =
        upstream != nullptr && !seen.is_tried_now && node.facts_at > seen.tried_until && streams_from(node, *upstream);
    const bool host_is_back = seen.host.saw(node.local, now);
    const bool is_another = is_another_server(seen, now);
    if (has_more_room(seen) || host_is_back || is_another || streams || all_begin_anew) anew.insert(node.name);
  }
  return anew;
}

void RejoinWatch::started(const std::string& node) {
  const auto found = seen_.find(node);
  if (found == seen_.end()) return;
  Seen& seen = found->second;
  seen.is_tried_now = true;
  seen.timeline_tried = seen.timeline;
  for (const auto& [disk, room] : seen.room) {
    std::uint64_t& most = seen.most_room_tried[disk];
    most = std::max(most, room);
  }
}

void RejoinWatch::ended(const std::string& node, Instant now) {
  const auto found = seen_.find(node);
  if (found == seen_.end()) return;
  found->second.is_tried_now = false;
  found->second.tried_until = now;
}

}  // namespace pgkeel
