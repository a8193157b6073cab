#include "tests/scenarios/script_text.h"

#include <set>
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

OperatorOrder parse_order(const Arguments& arguments) {
  OperatorOrder order;
  bool known = false;
  for (const OrderKind kind : kAllOrderKinds) {
    if (arguments.at(0) != order_name(kind)) continue;
    order.kind = kind;
    known = true;
  }
  if (!known) throw std::runtime_error("no such order: " + arguments.at(0));
  order.accept_loss = arguments.flag("accept_loss");
  order.rebuild = arguments.flag("rebuild");
  order.discard_old_data = arguments.flag("discard");
  order.on = arguments.flag("on");
  if (arguments.flag("full")) order.objection = "its data directory is not empty";
  const std::set<std::string> flags = {"accept_loss", "rebuild", "discard", "on", "off", "full"};
  if (arguments.plain.size() > 1 && !flags.contains(arguments.at(1))) order.node = arguments.at(1);
  order.given_by = "127.0.0.1:4242";
  return order;
}

std::string text_of(const OperatorOrder& order) {
  return "order " + std::to_string(order.id) + ": " + order_name(order.kind) +
         (order.node.empty() ? "" : " " + order.node) + ": " + order_state_name(order.state) +
         (order.message.empty() ? "" : ": " + order.message);
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
  std::string superseded;
  std::string running;
  for (const auto& [name, node] : memory.nodes) {
    if (node.superseded) superseded += (superseded.empty() ? "" : ",") + name;
  }
  for (const auto& order : memory.orders) {
    if (order.state == OrderState::kRunning) running += (running.empty() ? "" : ",") + std::to_string(order.id);
  }
  add("superseded", superseded);
  add("orders", running);
  std::string maintained = memory.maintenance ? "cluster" : "";
  for (const auto& [name, maintenance] : memory.nodes_maintained) maintained += (maintained.empty() ? "" : ",") + name;
  add("maintenance", maintained);
  if (!memory.automatic_failovers.empty()) add("failovers", std::to_string(memory.automatic_failovers.size()));
  add("promise", text_of(memory.promise));
  add("names", text_of(memory.standby_names));
  if (memory.opens_when_commits_wait) text += " kept_closed";
  std::string kept;
  std::string logical;
  std::string left;
  for (const auto& each : memory.kept_slots) kept += (kept.empty() ? "" : ",") + each.node + ":" + each.slot;
  for (const auto& slot : memory.logical_slots.slots) logical += (logical.empty() ? "" : ",") + slot.name;
  for (const auto& each : memory.left_slots)
    left += (left.empty() ? "" : ",") + each.slot.name + (each.is_other ? "(other)" : "");
  add("kept", kept);
  add("logical", logical);
  add("left", left);
  return text;
}

std::string text_of(const Action& action) {
  std::string text = std::string(action_name(action.kind)) + " " + action.node;
  if (!action.upstream.empty()) text += " upstream=" + action.upstream;
  if (!action.slot.empty()) text += " slot=" + action.slot;
  if (!action.reserves_wal) text += " reserving nothing";
  if (action.position.valid()) text += " from=" + format_lsn(action.position);
  if (action.old_primary) text += " old_primary";
  const bool is_none = action.kind == ActionKind::kSetStandbyNames && action.standby_names.empty();
  if (is_none || !action.standby_names.empty()) text += " names='" + action.standby_names + "'";
  if (action.is_new) text += " new";
  if (action.sets_names_anyway) text += " anyway";
  if (action.commits_must_wait) text += " until commits wait";
  if (action.ordered) text += " ordered";
  if (action.rebuild) text += " rebuild";
  if (action.discard_old_data) text += " discard";
  if (action.provision) text += " provision";
  return text;
}

std::string text_of(const RouteOrder& order) {
  const char* mode = order.mode == RouteMode::kDraining  ? " draining"
                     : order.mode == RouteMode::kStopped ? " stopped"
                     : order.mode == RouteMode::kMoving  ? " moving"
                                                         : "";
  return (order.node.empty() ? "nowhere" : order.node) + " epoch=" + std::to_string(order.epoch) + mode;
}

}  // namespace pgkeel::scenarios
