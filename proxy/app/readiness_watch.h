// Looks again and again whether a failover and a rejoin of one cluster would work: at start, after each change of
// primary, when a node is back or gone, after each reload, every few minutes, and more often while they would not.
// Control thread only; the looking is done on a thread of its own.
#pragma once

#include <cstdint>
#include <functional>
#include <map>
#include <optional>
#include <string>
#include <vector>

#include "config/config.h"
#include "proxy/admin/cluster_status.h"
#include "proxy/io/timer.h"
#include "replication/execute/job_runner.h"
#include "replication/model/cluster_view.h"
#include "replication/readiness/facts.h"

namespace pgkeel {

class ReadinessWatch {
 public:
  // `tell` is called for each finding that appeared, or is gone.
  using Tell = std::function<void(const Finding& finding, bool appeared)>;

  ReadinessWatch(Loop& loop, ClusterConfig cluster, Tell tell);

  void start();

  // Other nodes or settings: a look is due at once.
  void reconfigure(const ClusterConfig& cluster);

  // `primary`: the node that clients are led to; empty: none, and a look would be in vain. Where it is another one than
  // before, or other nodes answer, a look is due.
  void cluster_is(const std::string& primary, const std::vector<NodeView>& nodes);

  [[nodiscard]] const std::optional<ReadinessReport>& report() const { return report_; }
  [[nodiscard]] bool looks() const { return !jobs_.idle(); }

 private:
  void look();
  void take_over(std::vector<NodeReadinessFacts> facts);

  ClusterConfig cluster_;
  Tell tell_;
  JobRunner jobs_;
  Timer next_look_;
  std::string primary_;
  std::vector<std::string> answering_;  // nodes
  bool changed_meanwhile_ = false;      // while a look was under way
  std::optional<ReadinessReport> report_;
  Instant sizes_asked_at_{};
  std::map<std::string, std::uint64_t> database_bytes_;  // per node, when they were asked for last
};

}  // namespace pgkeel
