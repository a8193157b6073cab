// The part of ClusterService that lets another process decide, and that goes on where one did.
#include <algorithm>

#include "config/find.h"
#include "proxy/app/cluster_service.h"
#include "proxy/io/clock.h"

namespace pgkeel {

void ClusterService::go_on_from(const std::map<std::string, Route>& open_routes) {
  const auto found = open_routes.find(config_.name);
  if (found == open_routes.end()) return;
  const Route& open = found->second;
  controller_.resume(
      {.epoch = open.epoch, .node = open.target ? open.target->node : "", .reason = open.reason, .mode = open.mode});
  primary_is_unseen_ = open.target.has_value();
  if (!read_only_) return;
  const auto open_for_reads = open_routes.find(read_only_name());
  if (open_for_reads == open_routes.end())
    lead_readers(
        controller_.published_route(), [] {}, [] {});
  else
    read_only_->resume(controller_.published_route(), open_for_reads->second, monotonic_now());
}

std::map<std::string, Route> ClusterService::open_routes() const {
  std::map<std::string, Route> routes = {{config_.name, route_of(controller_.published_route())}};
  if (read_only_) routes.emplace(read_only_name(), read_only_->published());
  return routes;
}

Route ClusterService::route_of(const RouteOrder& order) const {
  Route route;
  route.epoch = order.epoch;
  route.reason = order.reason;
  route.mode = order.mode;
  if (!order.node.empty()) {
    if (const NodeConfig* node = find_node_config(config_, order.node))
      route.target = RouteTarget{node->name, node->address};
  }
  return route;
}

std::string ClusterService::why_no_handover() const {
  const std::string whose = "cluster " + config_.name + ": ";
  if (agreed_ && !agreed_->is_settled()) return whose + "its route has just changed; try again";
  // What another pgkeel does goes on.
  if (!agreed_ || term_ != 0) {
    if (std::string under_way = what_is_under_way(); !under_way.empty()) return under_way;
  }
  if (executor_.jobs_run() || keeper_.jobs_run()) return whose + "a program works for it; try again";
  return "";
}

std::string ClusterService::why_no_handover_soon() const {
  return agreed_ && term_ == 0 ? "" : what_is_long_under_way();
}

std::string ClusterService::what_is_long_under_way() const {
  const ClusterMemory& memory = controller_.memory();
  const std::string whose = "cluster " + config_.name + ": ";
  if (is_planned(memory.phase) || memory.phase == Phase::kFencing || memory.phase == Phase::kPromoting)
    return whose + "its route is on the move (" + phase_name(memory.phase) + "); try again when that is over";
  if (!controller_.state_error().empty()) return whose + "its state is not stored: " + controller_.state_error();
  for (const auto& order : memory.orders) {
    if (order.state == OrderState::kRunning)
      return whose + order_name(order.kind) + " is under way; try again when it is done";
  }
  for (const auto& action : controller_.actions()) {
    if (action.running && action.action.kind == ActionKind::kRejoin)
      return whose + action_name(action.action.kind) + " " + action.action.node +
             " is under way; try again when it is done";
  }
  return "";
}

std::string ClusterService::what_is_under_way() const {
  if (std::string long_under_way = what_is_long_under_way(); !long_under_way.empty()) return long_under_way;
  const std::string whose = "cluster " + config_.name + ": ";
  if (!controller_.route_is_applied()) return whose + "its route has just changed; try again";
  for (const auto& action : controller_.actions()) {
    const bool is_routine = action.action.kind == ActionKind::kProbe || action.action.kind == ActionKind::kKeepSlot;
    if (action.running && !is_routine)
      return whose + action_name(action.action.kind) + " " + action.action.node +
             " is under way; try again when it is done";
  }
  return "";
}

// What another process saw last of the primary was good. Nothing is decided before this one has seen it too, or its
// failure detector has made up its mind.
bool ClusterService::waits_for_primary(const std::vector<NodeView>& nodes) {
  if (!primary_is_unseen_) return false;
  const auto primary = std::ranges::find(nodes, controller_.memory().primary, &NodeView::name);
  primary_is_unseen_ = primary != nodes.end() && !primary->facts && !primary->suspicion.failed();
  return primary_is_unseen_;
}

}  // namespace pgkeel
