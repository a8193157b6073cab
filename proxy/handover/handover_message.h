// What two pgkeel processes say to each other while one takes over from the other (README.md in this folder): JSON
// objects with descriptors beside them. Pure. What is read comes from a process of the same user or of root, and is
// checked all the same: whatever it is, reading never throws.
#pragma once

#include <cstdint>
#include <map>
#include <optional>
#include <string>
#include <utility>

#include "proxy/base/result.h"
#include "proxy/base/time.h"
#include "proxy/cancel/cancel_registry.h"
#include "proxy/io/descriptor_link.h"
#include "proxy/io/socket.h"
#include "proxy/routing/route.h"
#include "proxy/session/moved_session.h"

namespace pgkeel {

// Of another version nothing is understood: the handover is refused, and both processes go on as they are.
constexpr std::uint32_t kHandoverVersion = 1;

enum class HandoverWord {
  // from the process that takes over
  kHello,     // which version it speaks
  kReady,     // it could serve: its configuration is valid, its threads run
  kReceived,  // it has all, and could decide
  kServing,   // it does
  // from the one that gives
  kRefused,        // why
  kListener,       // a socket that clients connect to
  kOffered,        // these were all
  kControl,        // the lock of the state directory
  kOpenRoute,      // where an access point leads now
  kSession,        // one that goes along, or follows later
  kMembership,     // of one of several pgkeels
  kFormer,         // a process that drains still: the link to it, and its handle
  kGiven,          // all is said
  kGo,             // from now on the other decides
  kMain,           // the service manager knows
  kStays,          // the key of a session that stays
  kDraining,       // how many do
  kDeadline,       // from the one that decides: so long clients' bytes may be written there
  kAddressLeaves,  // from that one too: the virtual IP goes, and who came by it is to be told
  kEnd,            // and: it is ended; every session must end at once. The answer is kApplied
  // both ways while the former process drains
  kRoute,    // order: what is in the way of this route must end
  kApplied,  // it has
  kDrained,  // no session of a route that drains is in a transaction
};

// As which of several pgkeels the process is known to the others. What it may do until when follows from the lease.
struct MovedMembership {
  std::string name;
  std::string prefix;    // of the keys in etcd
  std::string instance;  // in this life
  std::uint64_t lease = 0;
  Instant renewed_at{};  // of since_boot()

  friend bool operator==(const MovedMembership&, const MovedMembership&) = default;
};

struct HandoverMessage {
  HandoverWord word = HandoverWord::kRefused;
  std::uint64_t number = 0;  // kRoute, kEnd, kApplied, kDrained: of the order; kHello: the version; kDeadline: of
                             // since_boot(), in nanoseconds
  std::string
      text;  // kRefused, kEnd: why; kAddressLeaves: which; kListener: its name; kHello: the version of the program
  std::string cluster;
  std::optional<Route> route;
  std::optional<MovedSession> session;
  std::optional<MovedMembership> membership;
  std::optional<std::pair<CancelKey, CancelRegistry::Owner>> stays;
  std::map<std::string, std::uint64_t> draining;  // by cluster
  std::vector<Descriptor> descriptors;            // those of a session excepted
};

LinkMessage write_handover(HandoverMessage message);
// kSession; its connections stay the caller's, and open until the message is sent.
LinkMessage write_borrowed(const std::string& cluster, const MovedSession& session);
Result<HandoverMessage> read_handover(LinkMessage message);

}  // namespace pgkeel
