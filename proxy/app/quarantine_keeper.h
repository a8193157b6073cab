// Looks after the quarantines of a cluster's nodes on this host, asks the agents about theirs (which they look after
// themselves), tells of what was lost and of what goes, and knows the sum. Control thread; the work is done on job
// threads.
#pragma once

#include <cstdint>
#include <functional>
#include <map>
#include <memory>
#include <set>
#include <string>
#include <vector>

#include "config/config.h"
#include "proxy/admin/cluster_status.h"
#include "proxy/base/log.h"
#include "proxy/io/timer.h"
#include "replication/agent/lost_protocol.h"
#include "replication/execute/job_runner.h"

namespace pgkeel {

class Loop;

class QuarantineKeeper {
 public:
  using Tell = std::function<void(LogLevel severity, const std::string& node, const std::string& text)>;

  // Of each report once, when it is told.
  using Found = std::function<void(const LostReportStatus& report)>;

  // The references outlive it.
  QuarantineKeeper(Loop& loop, const ClusterConfig& cluster, QuarantineConfig bounds, Tell tell, Found found);

  // Looks at once, and then again and again.
  void start() { look_soon(); }
  // Other bounds, and the cluster that the reference names has changed.
  void reconfigure(const QuarantineConfig& bounds);
  // Something may be new: a rejoin told something, or has ended.
  void look_soon();

  [[nodiscard]] bool jobs_run() const { return !jobs_.idle() || !announcements_.idle(); }
  // What is there, and the sums of what this process was the first to tell of.
  void add_to(ClusterStatus& status) const;

 private:
  struct Finding {
    NodeConfig node;
    std::vector<ToldEntry> entries;
    std::vector<std::string> removals;
    std::string problem;  // why its agent could not be asked; empty: it could, or it is here
  };
  static Finding look_after(const NodeConfig& node, const QuarantineConfig& bounds, std::set<std::string>& tried);
  static Finding ask_agent(const NodeConfig& node);
  void look();
  void take(const std::vector<Finding>& findings);
  void announce(const Finding& finding, const ToldEntry& told);

  const ClusterConfig& cluster_;
  QuarantineConfig bounds_;
  Tell tell_;
  Found found_;
  JobRunner jobs_;
  JobRunner announcements_;
  Timer timer_;
  bool look_again_ = false;  // asked for while a look was under way
  // Of look_after_quarantine(). Job threads, one at a time.
  std::shared_ptr<std::set<std::string>> tried_ = std::make_shared<std::set<std::string>>();
  std::set<std::string> announced_;                                  // by this process
  std::map<std::string, std::vector<LostReportStatus>> reports_of_;  // by node, as they were told last
  std::vector<LostReportStatus> reports_;
  std::uint64_t lost_transactions_ = 0;
  std::uint64_t lost_wal_bytes_ = 0;
};

}  // namespace pgkeel
