// What of a quarantine goes, so that it stays within its bounds: what the oldest entries keep first. Their reports
// stay. The choice is pure; the removal blocks.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "config/config.h"
#include "proxy/base/result.h"
#include "proxy/base/time.h"
#include "proxy/io/descriptor.h"
#include "replication/agent/quarantine_entry.h"

namespace pgkeel {

// Of an entry that keeps something.
struct QuarantineFact {
  std::string id;
  Duration age{};  // quarantine_age.h
  std::uint64_t bytes = 0;
  bool in_use = false;  // by the rejoin under way, or opened by somebody
  bool told = true;     // its report says which transactions it held
};

struct QuarantineRemoval {
  std::string id;
  std::string reason;  // "it is older than 30d"
};

// Of one node, in any order. Those in use stay, and those whose transactions nobody was told of: neither age nor size
// makes these go. Size spares the newest too: it is what the last failover cost. Of those of one age the names tell
// which is older.
std::vector<QuarantineRemoval> choose_removals(std::vector<QuarantineFact> facts, const QuarantineConfig& bounds);

// Notes how old the entries of the quarantine of this node are, and removes what is over its bounds: of an entry
// everything but its report and the list of its transactions. Answers one line for each whose data went, or could not.
std::vector<std::string> bound_quarantine(const LocalServerConfig& local, const QuarantineConfig& bounds);

// Held by whoever removes what an entry keeps, or relies on it: one at a time. Ends with the object, or the process.
// What is locked is the file that says whose the entry is: it is there, so that it takes no room, and a network file
// system that wants to write what it locks can.
class RemovalLock {
 public:
  explicit RemovalLock(const std::string& quarantine_folder);

  [[nodiscard]] bool is_held() const { return problem_.empty(); }
  [[nodiscard]] const std::string& problem() const { return problem_; }  // why it is not: one line
  [[nodiscard]] bool is_taken() const { return is_taken_; }              // not held, for somebody else has it

 private:
  Descriptor file_;
  std::string problem_;
  bool is_taken_ = false;
};

}  // namespace pgkeel
