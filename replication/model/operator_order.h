// What an operator asked pgkeel to do, and what became of it. An order is a part of ClusterMemory: it is durable before
// anything follows from it, so that a restart of pgkeel goes on with it. Plain data.
#pragma once

#include <cstdint>
#include <optional>
#include <string>

#include "proxy/base/time.h"

namespace pgkeel {

enum class OrderKind {
  kFailover,     // promote a standby now, without waiting for the primary
  kRejoin,       // make this node a healthy standby
  kResolve,      // end a collision: this node's history stays
  kSwitchover,   // the primary and a standby change roles, and nothing is lost
  kMaintenance,  // an operator works on the cluster, or on one node: pgkeel keeps its hands off; or not any more
  kStop,         // every node is shut down, in the right order
  kStart,        // … and started again
  kTeardown,     // pgkeel leaves the cluster: what it set up in the servers is taken back, the primary stands alone
  kProvision,    // this node's empty data directory is filled, and it becomes a healthy standby
};

constexpr OrderKind kAllOrderKinds[] = {OrderKind::kFailover,   OrderKind::kRejoin,      OrderKind::kResolve,
                                        OrderKind::kSwitchover, OrderKind::kMaintenance, OrderKind::kStop,
                                        OrderKind::kStart,      OrderKind::kTeardown,    OrderKind::kProvision};

constexpr const char* order_name(OrderKind kind) {
  switch (kind) {
    case OrderKind::kFailover:
      return "failover";
    case OrderKind::kRejoin:
      return "rejoin";
    case OrderKind::kResolve:
      return "resolve";
    case OrderKind::kSwitchover:
      return "switchover";
    case OrderKind::kMaintenance:
      return "maintenance";
    case OrderKind::kStop:
      return "stop";
    case OrderKind::kStart:
      return "start";
    case OrderKind::kTeardown:
      return "teardown";
    case OrderKind::kProvision:
      return "provision";
  }
  return "unknown";
}

enum class OrderState { kRunning, kDone, kFailed };

constexpr OrderState kAllOrderStates[] = {OrderState::kRunning, OrderState::kDone, OrderState::kFailed};

constexpr const char* order_state_name(OrderState state) {
  switch (state) {
    case OrderState::kRunning:
      return "running";
    case OrderState::kDone:
      return "done";
    case OrderState::kFailed:
      return "failed";
  }
  return "unknown";
}

struct OperatorOrder {
  std::uint64_t id = 0;  // given when it is accepted; grows by one
  OrderKind kind = OrderKind::kFailover;
  std::string node;  // kFailover, kSwitchover: whom to promote, empty: the best; kMaintenance: empty: the cluster;
                     // others: the node
  bool accept_loss = false;       // kFailover: promote although acknowledged commits may be lost
  bool rebuild = false;           // kRejoin: by a new copy of the primary, whatever state it is in
  bool discard_old_data = false;  // kRejoin, with rebuild: the old data directory is not kept
  bool on = false;                // kMaintenance: it begins; else it ends
  std::string given_by;           // where the request came from
  WallTime given_at;
  OrderState state = OrderState::kRunning;
  std::string message;         // how it ended; while it runs: empty
  std::string primary_before;  // when it was accepted
  bool carried_out = false;    // its (first) transition was taken; kRejoin, kProvision: the work in the files is done
  // kProvision: what the node's host, which was asked before the order is judged, has against it; empty: nothing. Not
  // kept.
  std::string objection;

  friend bool operator==(const OperatorOrder&, const OperatorOrder&) = default;
};

// The answer to an order, or to the question what it would do.
struct OrderAnswer {
  bool accepted = false;
  std::uint64_t id = 0;                         // 0: it was only asked, or is refused
  std::string reason;                           // refused: why, and what to do
  std::string consequences;                     // accepted: what becomes of clients and data
  std::optional<std::uint64_t> bytes_at_stake;  // kFailover: WAL that the candidate lacks, as far as it is known
};

}  // namespace pgkeel
