// The verbs that order a running pgkeel to do something: `pgkeel switchover`, `failover`, `rejoin`, `resolve`,
// `provision`, `maintenance`, `stop`, `start`, `teardown`.
#pragma once

#include <string>

#include "replication/model/operator_order.h"

namespace pgkeel {

struct OrderOptions {
  std::string config_path;
  std::string cluster;
  OperatorOrder order;  // kind, node and flags
  bool yes = false;     // no question on a terminal
  std::string name;     // kTeardown, in place of the question: the cluster's, once more
};

// Tells what it will do, asks on a terminal, gives the order, shows how it goes, and returns when it has ended.
int run_order(const OrderOptions& options);

// The path and the JSON body of the request. Pure.
struct OrderPost {
  std::string path;
  std::string body;
};
OrderPost order_post(const std::string& cluster, const OperatorOrder& order, bool preview);

}  // namespace pgkeel
