#include "replication/decide/collision.h"

#include <algorithm>

namespace pgkeel {
namespace {

// A timeline of a history, and where it ended; the newest has not.
struct Stretch {
  Timeline timeline = 0;
  std::optional<Lsn> end;
};

std::vector<Stretch> stretches_of(const NodeFacts& facts) {
  std::vector<Stretch> stretches;
  for (const auto& fork : facts.timeline_history) stretches.push_back({fork.timeline, fork.end});
  stretches.push_back({facts.timeline, std::nullopt});
  return stretches;
}

}  // namespace

bool is_known_old_primary(const Situation& situation, const NodeView& node) {
  if (!node.answers_as_primary() || situation.is_of_another_cluster(node)) return false;
  const auto remembered = situation.memory.nodes.find(node.name);
  if (remembered == situation.memory.nodes.end() || !remembered->second.old_primary) return false;
  return remembered->second.superseded || node.facts->timeline <= situation.memory.timeline;
}

std::vector<const NodeView*> rival_primaries(const Situation& situation) {
  std::vector<const NodeView*> rivals;
  for (const auto& node : situation.view.nodes) {
    const bool rival =
        node.name != situation.memory.primary && node.answers_as_primary() && !situation.is_of_another_cluster(node);
    if (rival && !is_known_old_primary(situation, node)) rivals.push_back(&node);
  }
  return rivals;
}

std::optional<TimelineFork> fork_between(const NodeFacts& left, const NodeFacts& right) {
  if (left.system_identifier != right.system_identifier) return std::nullopt;
  if (!left.timeline_history_known || !right.timeline_history_known) return std::nullopt;
  const auto lefts = stretches_of(left);
  const auto rights = stretches_of(right);
  std::optional<TimelineFork> shared;
  for (std::size_t i = 0; i < std::min(lefts.size(), rights.size()); ++i) {
    if (lefts[i].timeline != rights[i].timeline) return shared;
    const auto& left_end = lefts[i].end;
    const auto& right_end = rights[i].end;
    if (!left_end && !right_end) return std::nullopt;
    const Lsn end = !left_end ? *right_end : !right_end ? *left_end : std::min(*left_end, *right_end);
    shared = TimelineFork{lefts[i].timeline, end};
    if (left_end != right_end) return shared;
  }
  return shared;
}

Collision describe_collision(const Situation& situation) {
  Collision collision;
  std::vector<const NodeView*> sides;
  if (const NodeView* primary = situation.primary(); primary != nullptr && primary->facts) sides.push_back(primary);
  for (const NodeView* rival : rival_primaries(situation)) sides.push_back(rival);
  for (const NodeView* side : sides) {
    collision.sides.push_back({side->name, side->facts->timeline, side->facts->wal_position});
    if (side == sides.front()) continue;
    const auto fork = fork_between(*sides.front()->facts, *side->facts);
    if (fork && (!collision.fork || fork->end < collision.fork->end)) collision.fork = fork;
  }
  return collision;
}

std::string tell_collision(const Collision& collision) {
  std::vector<std::string> sides;
  for (const auto& side : collision.sides) sides.push_back(side.node + " on timeline " + std::to_string(side.timeline));
  std::string text = join_names(sides) + " went apart";
  if (collision.fork)
    text += " at " + format_lsn(collision.fork->end) + " of timeline " + std::to_string(collision.fork->timeline);
  return text;
}

std::string tell_way_out(const Collision& collision, const std::string& route_node) {
  return tell_collision(collision) + (route_node.empty() ? "" : "; the route stays at " + route_node) +
         "; `pgkeel resolve CLUSTER --keep NODE` ends it: what only the others have is set aside, and lost to the "
         "cluster";
}

Verdict no_rival_primary(const Situation& situation) {
  const auto rivals = rival_primaries(situation);
  if (rivals.empty()) return Verdict::good();
  return Verdict::no(rivals.front()->name +
                     " is a primary that pgkeel did not promote; end that with `pgkeel resolve`");
}

}  // namespace pgkeel
