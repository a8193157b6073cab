// A route says where the access point of one cluster leads now: a node and an epoch, or nowhere. Plain data, immutable
// once published.
#pragma once

#include <cstdint>
#include <optional>
#include <string>

#include "proxy/base/address.h"
#include "proxy/base/route_mode.h"

namespace pgkeel {

struct RouteTarget {
  std::string node;
  HostPort address;

  friend bool operator==(const RouteTarget&, const RouteTarget&) = default;
};

struct Route {
  std::uint64_t epoch = 0;  // of two routes the one with the higher epoch counts; an older one is never used again
  std::optional<RouteTarget> target;  // nothing: nowhere, clients are held or refused
  RouteMode mode = RouteMode::kNormal;
  std::string reason;  // why it is what it is, for a person: "a failed: its postmaster died"

  friend bool operator==(const Route&, const Route&) = default;
};

}  // namespace pgkeel
