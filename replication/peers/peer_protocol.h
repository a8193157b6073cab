// What several pgkeels tell each other without etcd, as JSON over HTTPS (README.md lists the calls). Pure. Nothing here
// throws, whatever a peer sends; what cannot be read is an error.
#pragma once

#include <cstdint>
#include <map>
#include <string>
#include <string_view>

#include "config/shared_settings.h"
#include "proxy/base/result.h"
#include "proxy/base/time.h"
#include "replication/coordination/membership.h"

namespace pgkeel {

inline constexpr std::string_view kPeerPathPrefix = "/peer/v1";

// A client's cancel request that reached another pgkeel than its session.
struct PeerCancel {
  std::string cluster;
  std::uint32_t process_id = 0;
  std::string secret;  // bytes, as the server gave them

  friend bool operator==(const PeerCancel&, const PeerCancel&) = default;
};

// How one pgkeel sees a node.
struct PeerNodeView {
  std::string liveness;  // the failure detector's word for it
  bool is_primary = false;
  Duration heard_ago{};  // since its last answer

  friend bool operator==(const PeerNodeView&, const PeerNodeView&) = default;
};

// What one pgkeel tells the others of itself.
struct PeerView {
  std::string name;
  std::string version;
  SharedSettings settings;                                           // so that they can name what differs
  std::map<std::string, std::map<std::string, PeerNodeView>> nodes;  // by cluster and name
  std::map<std::string, std::string> obstacles{};  // clusters for which it could not decide, if it led, and why
  bool is_ending = false;                          // it is to be ended, and should not come to lead

  friend bool operator==(const PeerView&, const PeerView&) = default;
};

std::string to_json(const PromiseRequest& request);
std::string to_json(const Promise& promise);
std::string to_json(const PeerView& view);
std::string to_json(const PeerCancel& cancel);
std::string peer_error_json(const std::string& message);

Result<PromiseRequest> parse_promise_request(std::string_view text);
Result<Promise> parse_promise(std::string_view text);
Result<PeerView> parse_peer_view(std::string_view text);
Result<PeerCancel> parse_peer_cancel(std::string_view text);

// The answer to a cancel request: whether it was carried to its server.
std::string cancel_answer_json(bool is_forwarded);
bool parse_cancel_answer(std::string_view text);

}  // namespace pgkeel
