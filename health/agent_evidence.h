// What a node's agent says of its postmaster, weighed against what the server itself answers: when the postmaster is
// known to have died, and whether the agent speaks of this node's server at all. Pure: no I/O, reads no clock. One for
// each node with an agent.
#pragma once

#include <cstdint>
#include <optional>
#include <string>

#include "health/observation.h"
#include "proxy/base/time.h"

namespace pgkeel {

// One report of an agent. Times are on this machine's clock.
struct AgentWord {
  struct Postmaster {
    std::int32_t pid = 0;
    std::int64_t started_at = 0;  // by the agent's clock: tells one from another
    std::optional<std::uint16_t> port;
    Duration uptime{};
  };
  Instant at;                            // when it was received
  std::optional<Postmaster> postmaster;  // that runs and is watched
  std::optional<Instant> ended_at;       // when the last one that was watched ended
};

class AgentEvidence {
 public:
  explicit AgentEvidence(std::uint16_t port) : port_(port) {}

  struct Death {
    Instant when;
    std::string detail;
  };
  // A postmaster that was known as this node's runs no more, and no other runs in its place.
  [[nodiscard]] std::optional<Death> reported(const AgentWord& word);

  void answered(const Observation& observation);

  // Why the agent's server is not the one that answers; empty: nothing speaks against it.
  [[nodiscard]] const std::string& doubt() const { return doubt_; }

 private:
  std::uint16_t port_;
  std::optional<AgentWord> word_;
  std::optional<AgentWord::Postmaster> confirmed_;  // started when the server that answers did
  bool was_confirmed_ = false;                      // some postmaster was, once
  std::optional<Instant> mismatched_since_;
  std::string doubt_;
};

}  // namespace pgkeel
