// Orders as the admin endpoint takes and shows them. Pure.
#pragma once

#include <optional>
#include <string>
#include <string_view>

#include "proxy/base/result.h"
#include "replication/model/operator_order.h"

namespace pgkeel {

// The word of the path: "failover".
std::optional<OrderKind> order_kind_named(const std::string& name);

struct OrderRequest {
  OperatorOrder order;
  bool preview = false;  // what would it do? Nothing is changed
  std::string name;      // kTeardown: the cluster's, once more
};

// The JSON body of a POST. What is unknown, missing, of a wrong type or makes no sense together is an error: an order
// with a misspelt flag must not do something else.
Result<OrderRequest> parse_order(OrderKind kind, std::string_view body);

std::string order_json(const OperatorOrder& order);

// `watch`: where the order can be looked at, empty: it was a preview; `newest_event`: those after it tell how it goes.
std::string order_answer_json(const OrderAnswer& answer, const std::string& watch, std::uint64_t newest_event);

}  // namespace pgkeel
