// Looks after the quarantines of a cluster's nodes on this host: completes reports that were cut off, removes what is
// over the bounds, tells of both, and knows what was lost. Control thread; the work is done on job threads.
#pragma once

#include <cstdint>
#include <functional>
#include <memory>
#include <set>
#include <string>
#include <vector>

#include "config/config.h"
#include "proxy/admin/cluster_status.h"
#include "proxy/base/log.h"
#include "proxy/io/timer.h"
#include "replication/agent/quarantine_entry.h"
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
  // Something may be new: a rejoin told something, or has ended.
  void look_soon();

  [[nodiscard]] bool jobs_run() const { return !jobs_.idle(); }
  [[nodiscard]] const std::vector<LostReportStatus>& reports() const { return reports_; }  // oldest first
  // Of all reports that were there since this process started.
  [[nodiscard]] std::uint64_t lost_transactions() const { return lost_transactions_; }
  [[nodiscard]] std::uint64_t lost_wal_bytes() const { return lost_wal_bytes_; }

 private:
  struct Finding {
    std::string node;
    std::vector<QuarantineEntry> entries;
    std::vector<std::string> removals;
  };
  static Finding look_after(const NodeConfig& node, const QuarantineConfig& bounds, std::set<std::string>& tried);
  void look();
  void take(const std::vector<Finding>& findings);
  void announce(const QuarantineEntry& entry);

  const ClusterConfig& cluster_;
  QuarantineConfig bounds_;
  Tell tell_;
  Found found_;
  JobRunner jobs_;
  Timer timer_;
  bool look_again_ = false;  // asked for while a look was under way
  // Reports that were tried to be completed by this process: once is enough, it may take long. Job threads, one at a
  // time.
  std::shared_ptr<std::set<std::string>> tried_ = std::make_shared<std::set<std::string>>();
  std::set<std::string> counted_;
  std::vector<LostReportStatus> reports_;
  std::uint64_t lost_transactions_ = 0;
  std::uint64_t lost_wal_bytes_ = 0;
};

}  // namespace pgkeel
