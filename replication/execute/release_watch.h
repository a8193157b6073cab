// How often commits ceased to wait for each standby, and how long they do without it after that: a disk that stalls
// again and again would make pgkeel change a setting and its state file each time, and each stall hang the commits
// once. Fed with each change of the memory; a restart forgets it. Pure; one per cluster.
#pragma once

#include <map>
#include <string>
#include <vector>

#include "replication/model/cluster_memory.h"
#include "replication/model/cluster_view.h"

namespace pgkeel {

class ReleaseWatch {
 public:
  void memory_changed(const ClusterMemory& before, const ClusterMemory& now_held, Instant now);

  [[nodiscard]] const std::map<std::string, StandbyRest>& rests() const { return rests_; }

 private:
  std::map<std::string, std::vector<Instant>> releases_;  // per node, oldest first: those that count
  std::map<std::string, StandbyRest> rests_;
};

}  // namespace pgkeel
