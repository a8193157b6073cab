// Which of several pgkeels holds the virtual IP. That is agreed on as a route is: written in etcd, given up everywhere
// before it is taken anew, and held for as long only as this pgkeel may route. Pure; any thread.
#pragma once

#include <cstdint>
#include <optional>
#include <string>

#include "proxy/base/time.h"
#include "replication/coordination/agreed_state.h"

namespace pgkeel {

// Its route, whose node is the pgkeel that holds it; no cluster can have this name.
inline constexpr const char* kVipRoute = "@vip";

struct VipSituation {
  std::string name;  // of this pgkeel
  bool leads = false;
  bool takes_nothing = false;           // it ends: it keeps the address at most, and says of nobody that he is next
  const SharedRoute* agreed = nullptr;  // as etcd has it; nullptr: nothing yet
  const SharedRoute* newest = nullptr;  // the same, or a newer one that another pgkeel told of
  bool closed_elsewhere = false;        // nobody else can hold it under a route before the agreed one
  Instant may_hold_until{};  // where the newest route says that it is this pgkeel, or that is not followed yet
  bool is_held = false;      // by this host, now
  Instant granted_until{};   // what it may be held to by what was agreed on when it was last this pgkeel's
  std::optional<Instant> leaving_since;  // as the last decision had it
  bool everybody_is_told = false;        // that it leaves
  Instant now{};
};

// How long it is held on at most when it shall be nobody's, so that who is logging in can finish, and clients can be
// told.
inline constexpr Duration kVipFarewell = std::chrono::milliseconds(1100);

struct VipDecision {
  Instant hold_until{};                      // in the past: released
  std::optional<Instant> leaving_since;      // it is held, and another one shall have it
  Instant leave_by{};                        // where it leaves: at the latest, or when hold_until comes before
  std::optional<std::uint64_t> acknowledge;  // the serial that is followed here
  std::optional<std::string> write;          // leader: who is to hold it next; empty: nobody
};

VipDecision decide_vip(const VipSituation& situation);

}  // namespace pgkeel
