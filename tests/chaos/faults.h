// What can go wrong, by name. Each begins; Cluster::undo() ends it.
#pragma once

#include <functional>
#include <random>
#include <string>
#include <vector>

#include "tests/chaos/cluster.h"

namespace pgkeel::chaos {

using Random = std::mt19937_64;

// Whom a fault hits.
struct Roles {
  std::string primary;
  std::string standby;  // one of them
  // Of several pgkeels.
  std::string leader;
  std::string follower;  // one of the others
  std::string etcd_leader;
};

// How many pgkeels there must be.
enum class Among { kAnyNumber, kOne, kSeveral };

struct Fault {
  std::string kind;
  std::function<void(Cluster&, const Roles&, Random&)> begin;
  bool needs_disks = false;
  bool needs_agents = false;
  Among among = Among::kAnyNumber;
  bool lets_everybody_connect = false;  // no connect may fail in it
  bool is_unnoticed = false;            // nor a statement, and the virtual IP is never away
  bool keeps_primary = false;           // nothing happens to a server, or to what all pgkeels see of it: no failover
  // What must have come of it when it has lasted, in the fixed sets; none: nothing but what is checked of all.
  std::function<bool(Cluster&, const Roles&)> shows = nullptr;
};

std::vector<Fault> faults_of_several_pgkeels();
const std::vector<Fault>& all_faults();
const Fault& fault(const std::string& kind);  // throws where there is none

}  // namespace pgkeel::chaos
