// What several pgkeels have agreed on, as etcd holds it at one revision. Plain data.
#pragma once

#include <cstdint>
#include <map>
#include <set>
#include <string>

#include "proxy/base/route_mode.h"

namespace pgkeel {

// A member whose lease etcd holds.
struct LiveMember {
  std::uint64_t revision = 0;  // etcd's, of its key
  std::string machine;         // no two processes of one name and machine can live at the same time
  std::string instance;        // differs in each life of its process
  std::string address;         // where the other members reach it, "HOST:PORT"
  std::string version;
  std::string configuration;                     // digest of what must be the same everywhere
  std::map<std::string, std::uint64_t> applied;  // per cluster: the serial of the route that all its workers took over
  std::map<std::string, std::uint64_t> drained;  // per cluster: likewise, of one that drains, and has there

  friend bool operator==(const LiveMember&, const LiveMember&) = default;
};

// Who may route and lead.
struct Roster {
  std::uint64_t version = 0;  // etcd's revision of it; 0: there is none yet
  std::set<std::string> members;

  friend bool operator==(const Roster&, const Roster&) = default;
};

// A route as all members are to apply it.
struct SharedRoute {
  std::uint64_t serial = 0;  // grows with each change
  std::uint64_t epoch = 0;
  std::string node;  // empty: nowhere
  RouteMode mode = RouteMode::kNormal;
  std::string reason;
  std::uint64_t version = 0;  // etcd's revision of it

  [[nodiscard]] bool same_route(const SharedRoute& other) const {
    return epoch == other.epoch && node == other.node && mode == other.mode;
  }

  friend bool operator==(const SharedRoute&, const SharedRoute&) = default;
};

// The memory of a cluster's decision core, as write_memory() wrote it.
struct SharedMemory {
  std::uint64_t version = 0;  // etcd's revision of it
  std::string text;

  friend bool operator==(const SharedMemory&, const SharedMemory&) = default;
};

struct AgreedState {
  std::uint64_t revision = 0;  // 0: nothing has been heard of etcd yet
  std::map<std::string, LiveMember> members;
  Roster roster;
  std::string leader;                            // empty: there is none
  std::string leader_instance;                   // in which life it was chosen
  std::uint64_t term = 0;                        // the revision that made it the leader
  std::string heir;                              // to whom the one before handed over; empty: nobody is
  std::map<std::string, SharedRoute> routes;     // by cluster
  std::map<std::string, SharedMemory> memories;  // by cluster

  friend bool operator==(const AgreedState&, const AgreedState&) = default;
};

}  // namespace pgkeel
