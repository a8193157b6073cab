// What load balancers ask: GET /primary, /replica, /leader. May they send clients here, or to this node? Pure.
#pragma once

#include <string>
#include <vector>

#include "proxy/admin/cluster_status.h"

namespace pgkeel {

enum class BalancerQuestion {
  kPrimary,  // the access point leads to a primary; of a node: to this one
  kReplica,  // the read-only endpoint leads to a standby (where there is none such: a standby streams); of a node: this
             // one
  kLeader,   // this pgkeel decides for the cluster
};

struct BalancerAnswer {
  int status = 503;  // 200: yes, 503: no, 404: there is no such cluster or node
  std::string text;
};

// `cluster` empty: all of them must. `node` empty: whichever it is.
BalancerAnswer answer_balancer(BalancerQuestion question, const std::vector<ClusterStatus>& clusters,
                               const std::string& cluster, const std::string& node);

}  // namespace pgkeel
