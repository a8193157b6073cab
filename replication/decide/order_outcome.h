// How an order is answered, and how it ends: in one way for every kind. Pure.
#pragma once

#include <chrono>
#include <string>
#include <utility>

#include "proxy/base/time.h"
#include "replication/model/operator_order.h"

namespace pgkeel {

// How long an order waits for a node that was started as a standby to stream, before it counts as failed.
constexpr Duration kStreamingPatience = std::chrono::minutes(2);

inline OrderAnswer refused(std::string reason) {
  OrderAnswer answer;
  answer.reason = std::move(reason);
  return answer;
}

inline OrderAnswer accepted(std::string consequences) {
  OrderAnswer answer;
  answer.accepted = true;
  answer.consequences = std::move(consequences);
  return answer;
}

inline void end_order(OperatorOrder& order, OrderState state, std::string message) {
  order.state = state;
  order.message = std::move(message);
}

}  // namespace pgkeel
