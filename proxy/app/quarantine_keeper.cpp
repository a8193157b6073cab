#include "proxy/app/quarantine_keeper.h"

#include <algorithm>
#include <utility>

#include "proxy/io/loop.h"
#include "replication/agent/lost_report.h"
#include "replication/agent/quarantine_care.h"
#include "replication/execute/agent_lost.h"

namespace pgkeel {
namespace {

using namespace std::chrono_literals;

constexpr Duration kLookAgain = 10min;
constexpr Duration kAskAgain = 1min;  // an agent that could not be asked

}  // namespace

QuarantineKeeper::QuarantineKeeper(Loop& loop, const ClusterConfig& cluster, QuarantineConfig bounds, Tell tell,
                                   Found found)
    : cluster_(cluster),
      bounds_(bounds),
      tell_(std::move(tell)),
      found_(std::move(found)),
      jobs_(loop),
      announcements_(loop),
      timer_(loop, [this] { look(); }) {}

void QuarantineKeeper::reconfigure(const QuarantineConfig& bounds) {
  bounds_ = bounds;
  look_soon();
}

void QuarantineKeeper::look_soon() {
  if (!jobs_.idle()) {
    look_again_ = true;
  } else {
    timer_.start_once(Duration::zero());
  }
}

QuarantineKeeper::Finding QuarantineKeeper::look_after(const NodeConfig& node, const QuarantineConfig& bounds,
                                                       std::set<std::string>& tried) {
  auto state = look_after_quarantine(node.name, *node.local, bounds, tried);
  Finding finding{node, {}, std::move(state.removals), {}};
  for (auto& entry : state.entries) {
    const bool announced = is_announced(entry.folder);
    finding.entries.push_back({std::move(entry), announced});
  }
  return finding;
}

QuarantineKeeper::Finding QuarantineKeeper::ask_agent(const NodeConfig& node) {
  Finding finding{node, {}, {}, {}};
  auto told = AgentLost(std::make_shared<AgentConnections>(*node.agent)).entries();
  if (told) {
    finding.entries = std::move(*told);
  } else {
    finding.problem = told.error().message;
  }
  return finding;
}

void QuarantineKeeper::look() {
  if (!jobs_.idle()) return;
  std::vector<NodeConfig> nodes;
  for (const auto& node : cluster_.nodes) {
    if (node.local || node.agent) nodes.push_back(node);
  }
  if (nodes.empty()) return;
  const auto started = jobs_.run(
      [this, nodes = std::move(nodes), bounds = bounds_, tried = tried_](const JobRunner::Post&) -> JobRunner::Task {
        std::vector<Finding> findings;
        for (const auto& node : nodes)
          findings.push_back(node.agent ? ask_agent(node) : look_after(node, bounds, *tried));
        // Called on the control thread, and only while the keeper is there.
        return [this, findings = std::move(findings)] { take(findings); };
      });
  if (!started) log(LogLevel::kWarning, cluster_.name, started.error().message);
  timer_.start_once(kLookAgain);
}

void QuarantineKeeper::take(const std::vector<Finding>& findings) {
  bool ask_again = false;
  for (const auto& finding : findings) {
    if (!finding.problem.empty()) {  // what it told before still holds
      ask_again = true;
      continue;
    }
    for (const auto& line : finding.removals) tell_(LogLevel::kWarning, finding.node.name, "quarantine: " + line);
    auto& reports = reports_of_[finding.node.name];
    reports.clear();
    for (const auto& told : finding.entries) {
      const auto& entry = told.entry;
      if (!entry.examined) continue;
      if (entry.removed.empty()) reports.push_back({entry.id, finding.node.name, entry.transactions, entry.wal_bytes});
      announce(finding, told);
    }
  }
  reports_.clear();
  for (const auto& [node, reports] : reports_of_) reports_.insert(reports_.end(), reports.begin(), reports.end());
  const auto time_in = [](const LostReportStatus& report) {
    return report.report.substr(report.report.rfind('-') + 1);
  };
  std::ranges::sort(reports_, {}, time_in);
  if (std::exchange(look_again_, false)) {
    timer_.start_once(Duration::zero());
  } else if (ask_again) {
    timer_.start_once(kAskAgain);
  }
}

void QuarantineKeeper::announce(const Finding& finding, const ToldEntry& told) {
  const auto& entry = told.entry;
  if (told.announced || !announced_.insert(entry.id).second) return;
  const auto& node = entry.divergence.node;
  lost_transactions_ += entry.transactions;
  lost_wal_bytes_ += entry.wal_bytes;
  found_({entry.id, node, entry.transactions, entry.wal_bytes});
  tell_(entry.transactions > 0 ? LogLevel::kWarning : LogLevel::kInfo, node,
        "the cluster lacks " + lost_text(entry) + " that " + node + " alone had: pgkeel lost " + cluster_.name + " " +
            entry.id);
  // After the event: it is rather told twice than never.
  if (finding.node.agent) {
    const auto started = announcements_.run(
        [access = *finding.node.agent, id = entry.id, node](const JobRunner::Post&) -> JobRunner::Task {
          const auto noted = AgentLost(std::make_shared<AgentConnections>(access)).note_announced(id);
          return [noted, node] {
            if (!noted) log(LogLevel::kWarning, node, noted.error().message);
          };
        });
    if (!started) log(LogLevel::kWarning, node, started.error().message);
  } else if (const auto noted = note_announced(entry.folder); !noted) {
    log(LogLevel::kWarning, node, noted.error().message);
  }
}

void QuarantineKeeper::add_to(ClusterStatus& status) const {
  status.lost_reports = reports_;
  status.lost_transactions = lost_transactions_;
  status.lost_wal_bytes = lost_wal_bytes_;
}

}  // namespace pgkeel
