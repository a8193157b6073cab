// Looks at the hosts of one cluster's nodes every half minute: disks and memory, as far as pgkeel or an agent is there
// to look. For the status and the metrics; what is wrong of it the readiness rules say. Control thread only; the
// looking is done on a thread of its own.
#pragma once

#include <map>
#include <string>

#include "proxy/base/time.h"
#include "proxy/io/timer.h"
#include "replication/execute/cluster_executor.h"
#include "replication/execute/job_runner.h"
#include "replication/model/host_facts.h"

namespace pgkeel {

class HostWatch {
 public:
  HostWatch(Loop& loop, ClusterExecutor::Hosts hosts);

  void start() { look(); }

  void reconfigure(ClusterExecutor::Hosts hosts);

  // As it was seen last; nullptr: nobody can look there, or could not just now.
  [[nodiscard]] const HostFacts* host(const std::string& node) const;

 private:
  void look();

  ClusterExecutor::Hosts hosts_;
  JobRunner jobs_;
  Timer next_look_;
  std::map<std::string, HostFacts> seen_;
};

}  // namespace pgkeel
