#include "replication/execute/change_watch.h"

#include <algorithm>
#include <utility>

namespace pgkeel {
namespace {

// What a server writes anyway changes nothing.
constexpr std::uint64_t kLeastMoreRoom = 256ULL << 20;

bool is_much_more(std::uint64_t room, std::uint64_t before) {
  return room > before && room - before >= std::max(before / 4, kLeastMoreRoom);
}

}  // namespace

void ChangeWatch::saw(const std::vector<NodeView>& nodes, Instant now) {
  const bool reconfigured = std::exchange(reconfigured_, false);
  std::map<std::string, Seen> seen;
  for (const auto& node : nodes) {
    Seen& present = seen[node.name];
    present = {node.answering(), node.local, node.room, std::nullopt};
    const auto before = seen_.find(node.name);
    if (before == seen_.end()) continue;
    present.room_tried = before->second.room_tried;
    const bool has_room = node.room && present.room_tried && is_much_more(*node.room, *present.room_tried);
    if (has_room) present.room_tried = node.room;
    const bool is_back = (present.answers && !before->second.answers) || (present.is_local && !before->second.is_local);
    if (is_back || has_room || reconfigured) changes_[node.name] = now;
  }
  seen_ = std::move(seen);
  std::erase_if(changes_, [&](const auto& change) { return !seen_.contains(change.first); });
}

void ChangeWatch::rejoin_started(const std::string& node) {
  if (const auto found = seen_.find(node); found != seen_.end()) found->second.room_tried = found->second.room;
}

}  // namespace pgkeel
