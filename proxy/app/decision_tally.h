// What became of the failovers and switchovers of a cluster since this process started, by cause and result, and how
// long their phases took; fed with each record of a decision as it is kept. Pure. One thread.
#pragma once

#include <cstdint>
#include <map>
#include <string>
#include <utility>
#include <vector>

#include "proxy/admin/cluster_status.h"
#include "proxy/base/duration_histogram.h"
#include "replication/model/decision_record.h"

namespace pgkeel {

class DecisionTally {
 public:
  // Returns the id that the record was kept under; those of the same id tell more and more of one decision.
  std::uint64_t kept(const DecisionRecord& record, std::uint64_t id);

  void add_to(ClusterStatus& status) const;

  [[nodiscard]] std::vector<ChangeCount> counts() const;
  [[nodiscard]] std::vector<PhaseDurations> phases() const;

 private:
  struct Seen {
    std::size_t steps = 0;
    bool result = false;
  };
  std::map<std::uint64_t, Seen> seen_;                                       // by record; of the newest few
  std::map<std::pair<std::string, std::string>, std::uint64_t> counts_;      // by cause and result
  std::map<std::pair<std::string, std::string>, DurationHistogram> phases_;  // by kind and phase
};

}  // namespace pgkeel
