// What the rules share: the cluster that is judged, and the findings so far. Pure; lives for one judgement.
#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "config/config.h"
#include "replication/readiness/facts.h"
#include "replication/readiness/finding.h"

namespace pgkeel {

struct Judged {
  const ClusterConfig& cluster;
  const std::vector<NodeReadinessFacts>& nodes;
  const NodeReadinessFacts* primary = nullptr;  // the one node that answers as such; nullptr: none, or several
  std::vector<Finding>& findings;

  void find(Finding finding) const { findings.push_back(std::move(finding)); }

  // Runs for each node that answered.
  template <class Rule>
  void each_server(Rule rule) const {
    for (const auto& node : nodes) {
      if (node.server) rule(node, *node.server);
    }
  }
};

void judge_nodes(const Judged& judged);      // reachable, of one cluster, in their roles, streaming
void judge_settings(const Judged& judged);   // of each server, and where two servers must agree
void judge_access(const Judged& judged);     // logins, privileges, pg_hba.conf
void judge_retention(const Judged& judged);  // physical slots, WAL that is kept, archives
void judge_logical_slots(const Judged& judged);
void judge_hosts(const Judged& judged);  // disks, files, programs, agents

// Is this the host of the node with that name: reached under this address?
bool is_address_of(const NodeReadinessFacts& node, const std::string& host, std::uint16_t port);

std::string bytes_text(std::uint64_t bytes);  // "1.5 GiB"
bool comma_separated_contains(std::string_view list, std::string_view name);
std::string comma_list(const std::vector<std::string>& texts);  // "a, b"

// "ALTER SYSTEM SET name = 'value' on a, then …"
std::string alter_system(const NodeReadinessFacts& node, const std::string& name, const std::string& value,
                         bool needs_restart);

}  // namespace pgkeel
