// What one decision was founded on, what it did, and how long each step took: for whoever asks afterwards why. Plain
// data.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "proxy/base/lsn.h"
#include "proxy/base/time.h"

namespace pgkeel {

struct DecisionRecord {
  enum class Kind { kFailover, kRefusedFailover, kRejoin };

  struct Evidence {  // as it was when the decision was taken
    std::string node;
    std::string liveness;
    std::string text;
    Duration age{};
  };
  struct Candidate {
    std::string node;
    Timeline timeline = 0;
    Lsn wal_position;
    bool safe = false;  // known to hold every acknowledged commit
  };
  struct Step {
    std::string name;
    Duration after{};  // the evidence
  };
  struct Clients {
    std::uint64_t ended_idle = 0;
    std::uint64_t ended_in_transaction = 0;
    std::uint64_t ended_outcome_unknown = 0;  // a statement or a commit was on its way
    std::uint64_t held = 0;                   // waited when the route opened
  };

  std::uint64_t id = 0;  // given by the log; a later line of the same id takes the place of an earlier one
  std::string cluster;
  Kind kind = Kind::kFailover;
  std::string outcome;  // "done", "failed", "refused", "under way"
  std::uint64_t epoch = 0;
  WallTime began;    // of the evidence; a rejoin: when it was started
  std::string from;  // the primary before
  std::string to;    // the node that was promoted, or that was made a standby
  std::string reason;
  std::string ordered_by;  // an operator's address; empty: automatic
  std::vector<Evidence> evidence;
  std::vector<Candidate> candidates;
  std::vector<Step> steps;
  std::string fence;                           // what is known of the old primary: "proven stopped", "weak", …
  std::optional<std::uint64_t> bytes_lacking;  // WAL of the old primary that `to` is known to lack
  bool proven_lossless = false;                // of acknowledged commits
  Clients clients;
};

constexpr const char* decision_kind_name(DecisionRecord::Kind kind) {
  switch (kind) {
    case DecisionRecord::Kind::kFailover:
      return "failover";
    case DecisionRecord::Kind::kRefusedFailover:
      return "refused failover";
    case DecisionRecord::Kind::kRejoin:
      return "rejoin";
  }
  return "unknown";
}

}  // namespace pgkeel
