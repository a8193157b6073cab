#include "proxy/admin/order_json.h"

#include <nlohmann/json.hpp>

#include "proxy/admin/answer_text.h"
#include "proxy/admin/request_members.h"

namespace pgkeel {
namespace {

using Json = nlohmann::ordered_json;

}  // namespace

std::optional<OrderKind> order_kind_named(const std::string& name) {
  for (const OrderKind kind : kAllOrderKinds) {
    if (name == order_name(kind)) return kind;
  }
  return std::nullopt;
}

Result<OrderRequest> parse_order(OrderKind kind, std::string_view body) {
  OrderRequest request;
  OperatorOrder& order = request.order;
  order.kind = kind;
  RequestMembers members;
  members.flag("preview", request.preview);
  const char* needed = nullptr;
  switch (kind) {
    case OrderKind::kFailover:
      members.text("to", order.node);
      members.flag("accept_loss", order.accept_loss);
      break;
    case OrderKind::kRejoin:
      members.text(needed = "node", order.node);
      members.flag("rebuild", order.rebuild);
      members.flag("discard_old_data", order.discard_old_data);
      break;
    case OrderKind::kResolve:
      members.text(needed = "keep", order.node);
      break;
    case OrderKind::kSwitchover:
      members.text("to", order.node);
      break;
    case OrderKind::kMaintenance:
      members.needed_flag("on", order.on);
      members.text("node", order.node);
      break;
    case OrderKind::kStop:
    case OrderKind::kStart:
      break;
    case OrderKind::kTeardown:
      members.text("name", request.name);
      break;
    case OrderKind::kProvision:
      members.text(needed = "node", order.node);
      break;
  }
  if (auto taken = members.take(body); !taken) return taken.error();
  if (needed != nullptr && order.node.empty()) return Error{"\"" + std::string(needed) + "\" must name a node"};
  if (order.discard_old_data && !order.rebuild) return Error{"\"discard_old_data\" belongs to \"rebuild\""};
  return request;
}

std::string order_json(const OperatorOrder& order) {
  return answer_text({
      {"id", order.id},
      {"order", order_name(order.kind)},
      {"node", order.node.empty() ? Json(nullptr) : Json(order.node)},
      {"accept_loss", order.accept_loss},
      {"rebuild", order.rebuild},
      {"discard_old_data", order.discard_old_data},
      {"on", order.on},
      {"given_by", order.given_by},
      {"given_at", format_wall_time(order.given_at)},
      {"state", order_state_name(order.state)},
      {"message", order.message},
  });
}

std::string order_answer_json(const OrderAnswer& answer, const std::string& watch, std::uint64_t newest_event) {
  Json json = {{"accepted", answer.accepted}};
  if (!answer.accepted) {
    json["reason"] = answer.reason;
    return answer_text(json);
  }
  json["consequences"] = answer.consequences;
  json["bytes_at_stake"] = answer.bytes_at_stake ? Json(*answer.bytes_at_stake) : Json(nullptr);
  if (!watch.empty()) {
    json["id"] = answer.id;
    json["watch"] = watch;
    json["newest_event"] = newest_event;
  }
  return answer_text(json);
}

}  // namespace pgkeel
