// One thing that happened to a cluster, for people and for machines: the event log, `pgkeel events`, the log. Plain
// data.
#pragma once

#include <cstdint>
#include <string>

#include "proxy/base/log.h"
#include "proxy/base/time.h"

namespace pgkeel {

struct Event {
  std::uint64_t id = 0;  // given by the event log: grows by one
  WallTime when;
  std::string cluster;
  LogLevel severity = LogLevel::kInfo;
  std::string kind;  // "transition", "route", "action", "node", "state", "readiness", "order", "slot", …
  std::string node;  // empty: the cluster
  std::uint64_t epoch = 0;
  std::string text;
};

}  // namespace pgkeel
