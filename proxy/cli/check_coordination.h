// The part of `pgkeel check --live` about several pgkeels: would they agree now? Asks every etcd that is configured,
// and the other pgkeels.
#pragma once

#include <optional>
#include <string>
#include <vector>

#include "config/config.h"
#include "proxy/base/time.h"
#include "replication/readiness/finding.h"

namespace pgkeel {

struct CoordinationFacts {
  struct Etcd {
    std::string url;
    std::string error;  // it does not answer, or answers what cannot be read; the next four are not known then
    std::string version;
    bool has_leader = false;
    std::vector<std::string> alarms;
    Duration answered_in{};
    std::string cannot_read;  // why pgkeel may not read below its prefix; empty: it may
  };
  struct Peer {
    std::string name;
    std::string address;
    std::string error;  // it does not answer; the rest is not known then
    std::string version;
    std::vector<std::string> differs_in;
  };
  std::string problem;  // the files that [coordination] names cannot be used; nothing else is known then
  std::vector<Etcd> etcds;
  std::vector<Peer> peers;  // the others that have a lease
};

// Takes a few seconds at most.
CoordinationFacts look_at_coordination(const Config& config);

// Errors first. Pure.
std::vector<Finding> judge_coordination(const CoordinationConfig& config, const CoordinationFacts& facts);

}  // namespace pgkeel
