#include "tests/scenarios/script_text.h"

#include <stdexcept>

namespace pgkeel::scenarios {

ActionKind kind_of(const std::string& word) {
  for (const ActionKind kind : kAllActionKinds) {
    if (word == action_name(kind)) return kind;
  }
  throw std::runtime_error("no such action: " + word);
}

std::string text_of(const SyncQuorum& quorum) {
  if (quorum.empty()) return "";
  std::string members;
  for (const auto& member : quorum.members) members += (members.empty() ? "" : ",") + member;
  return std::to_string(quorum.acks) + "(" + members + ")";
}

std::string text_of(const ClusterMemory& memory) {
  std::string text = std::string(phase_name(memory.phase)) + " epoch=" + std::to_string(memory.epoch);
  const auto add = [&](const char* key, const std::string& value) {
    if (!value.empty()) text += std::string(" ") + key + "=" + value;
  };
  add("primary", memory.primary);
  add("candidate", memory.candidate);
  add("abandoned", memory.abandoned_candidate);
  add("timeline", std::to_string(memory.timeline));
  std::string old;
  for (const auto& [name, node] : memory.nodes) {
    if (node.old_primary) old += (old.empty() ? "" : ",") + name;
  }
  add("old", old);
  if (!memory.automatic_failovers.empty()) add("failovers", std::to_string(memory.automatic_failovers.size()));
  add("promise", text_of(memory.promise));
  add("names", text_of(memory.standby_names));
  return text;
}

std::string text_of(const Action& action) {
  std::string text = std::string(action_name(action.kind)) + " " + action.node;
  if (!action.upstream.empty()) text += " upstream=" + action.upstream;
  if (!action.slot.empty()) text += " slot=" + action.slot;
  if (action.position.valid()) text += " from=" + format_lsn(action.position);
  if (action.old_primary) text += " old_primary";
  const bool is_none = action.kind == ActionKind::kSetStandbyNames && action.standby_names.empty();
  if (is_none || !action.standby_names.empty()) text += " names='" + action.standby_names + "'";
  return text;
}

std::string text_of(const RouteOrder& order) {
  return (order.node.empty() ? "nowhere" : order.node) + " epoch=" + std::to_string(order.epoch);
}

}  // namespace pgkeel::scenarios
