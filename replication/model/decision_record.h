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
  enum class Kind { kFailover, kRefusedFailover, kRejoin, kSwitchover };

  struct Evidence {  // as it was when the decision was taken
    std::string node;
    std::string liveness;
    std::string text;
    WallTime since;
  };
  struct Candidate {
    std::string node;
    Timeline timeline = 0;
    Lsn wal_position;
    bool safe = false;  // known to hold every acknowledged commit
  };
  struct Step {
    std::string name;
    Duration after{};  // the evidence; a rejoin: its start
  };
  struct Clients {
    std::uint64_t ended_idle = 0;
    std::uint64_t ended_in_transaction = 0;
    std::uint64_t ended_busy = 0;       // a statement was on its way
    std::uint64_t ended_in_commit = 0;  // a COMMIT was
    std::uint64_t held = 0;             // waited when the route opened
    std::uint64_t released = 0;         // of these, let on to the new primary
  };
  struct Wal {
    std::optional<std::uint64_t> bytes_lacking;  // that the old primary had when it was asked last, and `to` had not
    std::optional<WallTime> as_of;               // when the old primary was asked last
    bool proven_lossless = false;                // of acknowledged commits, before the promotion
    // Once it was made a standby: it had WAL that `to` lacks.
    std::optional<bool> old_primary_had_more;
    std::string lost_report;  // for `pgkeel lost`; empty: none yet
    std::uint64_t lost_transactions = 0;
    std::uint64_t lost_bytes = 0;
  };
  struct BesideRows {  // on the new primary, when it was asked first
    std::uint32_t prepared_transactions = 0;
    std::vector<std::string> physical_slots;       // of others
    std::vector<std::string> physical_slots_anew;  // that were not there yet, and are made
    std::vector<std::string> logical_slots;        // that the server synchronized
    std::vector<std::string> left;                 // logical slots that did not come along: one line each
  };

  std::uint64_t id = 0;  // given by the log; a later line of the same id takes the place of an earlier one
  std::string cluster;
  Kind kind = Kind::kFailover;
  std::string outcome;  // "done", "failed", "refused", "under way"
  std::uint64_t epoch = 0;
  WallTime began;    // of the evidence; a rejoin or switchover: when it was started
  WallTime decided;  // when the evidence was what it is here
  std::string from;  // the primary before
  std::string to;    // the node that was promoted, or that was made a standby
  std::string reason;
  std::string ordered_by;  // an operator's address; empty: automatic
  bool restarted = false;  // pgkeel ended meanwhile, and went on: what it had counted of clients is lost
  std::vector<Evidence> evidence;
  std::vector<Candidate> candidates;
  std::vector<Step> steps;
  std::string fence;  // what is known of the old primary: "proven stopped", "weak", …
  Wal wal;
  Clients clients;
  std::optional<BesideRows> beside_rows;
};

// What it says of WAL and clients is meant.
constexpr bool changes_primary(DecisionRecord::Kind kind) {
  return kind == DecisionRecord::Kind::kFailover || kind == DecisionRecord::Kind::kSwitchover;
}

constexpr const char* decision_kind_name(DecisionRecord::Kind kind) {
  switch (kind) {
    case DecisionRecord::Kind::kFailover:
      return "failover";
    case DecisionRecord::Kind::kRefusedFailover:
      return "refused failover";
    case DecisionRecord::Kind::kRejoin:
      return "rejoin";
    case DecisionRecord::Kind::kSwitchover:
      return "switchover";
  }
  return "unknown";
}

// The step that ends the record of a failover: every node is as it should be.
constexpr const char* kLastStep = "redundant again";

}  // namespace pgkeel
