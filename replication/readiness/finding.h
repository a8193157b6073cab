// What readiness finds: one thing that would go wrong, or might, in the next failover or rejoin, and what mends it.
// Plain data.
#pragma once

#include <string>
#include <vector>

namespace pgkeel {

enum class FindingSeverity {
  kNotice,   // works, and another setting is recommended
  kWarning,  // works now; under some circumstances it does not, or costs more than it should
  kError,    // does not work
};

constexpr FindingSeverity kAllFindingSeverities[] = {FindingSeverity::kNotice, FindingSeverity::kWarning,
                                                     FindingSeverity::kError};

constexpr const char* severity_name(FindingSeverity severity) {
  switch (severity) {
    case FindingSeverity::kNotice:
      return "notice";
    case FindingSeverity::kWarning:
      return "warning";
    case FindingSeverity::kError:
      return "error";
  }
  return "unknown";
}

// What an error stands in the way of. Without a node: for every node of the cluster.
enum class Prevents {
  kNothing,
  kFailover,  // the node would not be promoted, or not for long
  kRejoin,    // the node would not become a standby again, or only by an operator's hand
  kBoth,
};

struct Finding {
  std::string rule = {};     // what was looked at, a name that stays: "wal_log_hints"
  std::string node = {};     // empty: the cluster
  std::string subject = {};  // the slot, role, setting or line that it is about, where a rule can find several
  FindingSeverity severity = FindingSeverity::kWarning;
  Prevents prevents = Prevents::kNothing;
  std::string problem = {};  // one line; it may hold numbers that change
  std::string remedy = {};   // the command or setting that mends it

  // Still the same thing, whatever its numbers say by now.
  [[nodiscard]] bool same_as(const Finding& other) const {
    return rule == other.rule && node == other.node && subject == other.subject && severity == other.severity;
  }
};

// The answer to "would a failover and a rejoin work now?".
struct Readiness {
  bool failover_would_work = false;  // some standby could be promoted
  bool rejoin_would_work = false;    // and every node could become a standby again
  std::vector<Finding> findings;     // errors first, then by node
};

}  // namespace pgkeel
