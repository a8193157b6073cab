// A route says where an endpoint of one cluster leads now: to a node and in which epoch, or nowhere; the read-only
// endpoint, to which nodes. Plain data, immutable once published.
#pragma once

#include <algorithm>
#include <cstdint>
#include <map>
#include <optional>
#include <string>
#include <vector>

#include "proxy/base/address.h"
#include "proxy/base/route_mode.h"

namespace pgkeel {

struct RouteTarget {
  std::string node;
  HostPort address;

  friend bool operator==(const RouteTarget&, const RouteTarget&) = default;
};

// One of the nodes that a read-only endpoint leads to.
struct ReadTarget {
  RouteTarget server;
  bool is_primary = false;  // new sessions go there where no standby takes them
  bool takes_new = false;   // false: sessions that are there may stay

  friend bool operator==(const ReadTarget&, const ReadTarget&) = default;
};

struct Route {
  std::uint64_t epoch = 0;  // of two routes the one with the higher epoch counts; an older one is never used again
  std::optional<RouteTarget> target;  // nothing: nowhere, clients are held or refused
  RouteMode mode = RouteMode::kNormal;
  std::string reason;  // why it is what it is, for a person: "a failed: its postmaster died"
  // Of the read-only endpoint, instead of `target`; and why it does not lead to the other nodes.
  std::vector<ReadTarget> readers = {};
  std::map<std::string, std::string> why_not = {};

  [[nodiscard]] bool leads_somewhere() const {
    return target.has_value() || std::ranges::any_of(readers, &ReadTarget::takes_new);
  }
  // A session may be at this server, with the role that it had when the session began.
  [[nodiscard]] bool leads_to(const RouteTarget& server, bool is_standby) const {
    if (target) return *target == server && !is_standby;
    return std::ranges::any_of(
        readers, [&](const ReadTarget& reader) { return reader.server == server && reader.is_primary != is_standby; });
  }
  // Null: it does not lead to this node.
  [[nodiscard]] const RouteTarget* server_of(const std::string& node) const {
    if (target) return target->node == node ? &*target : nullptr;
    for (const ReadTarget& reader : readers) {
      if (reader.server.node == node) return &reader.server;
    }
    return nullptr;
  }
  [[nodiscard]] bool is_standby(const std::string& node) const {
    return std::ranges::any_of(
        readers, [&](const ReadTarget& reader) { return reader.server.node == node && !reader.is_primary; });
  }
  // Of a session that was led to this node, and may not stay.
  [[nodiscard]] const std::string& why_not_to(const std::string& node) const {
    const auto found = why_not.find(node);
    return found == why_not.end() || found->second.empty() ? reason : found->second;
  }

  friend bool operator==(const Route&, const Route&) = default;
};

}  // namespace pgkeel
