#include "proxy/app/quarantine_keeper.h"

#include <exception>
#include <filesystem>
#include <utility>

#include "proxy/io/clock.h"
#include "proxy/io/durable_file.h"
#include "proxy/io/loop.h"
#include "replication/agent/data_directory.h"
#include "replication/agent/diverged_copy.h"
#include "replication/agent/lost_report.h"
#include "replication/agent/quarantine_bound.h"

namespace pgkeel {
namespace {

using namespace std::chrono_literals;

constexpr Duration kLookAgain = 10min;
constexpr const char* kAnnouncedFile = "/announced";  // its event is recorded

void completed(QuarantineEntry& entry, const NodeConfig& node, std::set<std::string>& tried) {
  if (!entry.data_exists || (entry.examined && entry.named) || is_in_use(entry.folder)) return;
  if (!tried.insert(entry.id).second) return;
  const auto made = complete_lost_report(entry, *node.local, [&](const std::string& line) {
    log(LogLevel::kInfo, node.name, "report " + entry.id + ": " + line);
  });
  if (made) {
    entry = *made;
  } else {
    log(LogLevel::kWarning, node.name, "the report " + entry.id + " is not complete: " + made.error().message);
  }
}

}  // namespace

QuarantineKeeper::QuarantineKeeper(Loop& loop, const ClusterConfig& cluster, QuarantineConfig bounds, Tell tell,
                                   Found found)
    : cluster_(cluster),
      bounds_(bounds),
      tell_(std::move(tell)),
      found_(std::move(found)),
      jobs_(loop),
      timer_(loop, [this] { look(); }) {}

void QuarantineKeeper::look_soon() {
  if (jobs_run()) {
    look_again_ = true;
  } else {
    timer_.start_once(Duration::zero());
  }
}

QuarantineKeeper::Finding QuarantineKeeper::look_after(const NodeConfig& node, const QuarantineConfig& bounds,
                                                       std::set<std::string>& tried) {
  Finding finding;
  finding.node = node.name;
  try {
    finding.removals = bound_quarantine(*node.local, bounds, wall_now());
    finding.entries = read_quarantine(quarantine_folder_of(*node.local), DataDirectory(*node.local).path());
    for (auto& entry : finding.entries) completed(entry, node, tried);
  } catch (const std::exception& problem) {  // a disk that fails under an iterator
    log(LogLevel::kWarning, node.name, std::string("its quarantine cannot be looked after: ") + problem.what());
  }
  return finding;
}

void QuarantineKeeper::look() {
  if (jobs_run()) return;
  std::vector<NodeConfig> nodes;
  for (const auto& node : cluster_.nodes) {
    if (node.local) nodes.push_back(node);
  }
  if (nodes.empty()) return;
  const auto started = jobs_.run(
      [this, nodes = std::move(nodes), bounds = bounds_, tried = tried_](const JobRunner::Post&) -> JobRunner::Task {
        std::vector<Finding> findings;
        for (const auto& node : nodes) findings.push_back(look_after(node, bounds, *tried));
        // Called on the control thread, and only while the keeper is there.
        return [this, findings = std::move(findings)] { take(findings); };
      });
  if (!started) log(LogLevel::kWarning, cluster_.name, started.error().message);
  timer_.start_once(kLookAgain);
}

void QuarantineKeeper::take(const std::vector<Finding>& findings) {
  reports_.clear();
  for (const auto& finding : findings) {
    for (const auto& line : finding.removals) tell_(LogLevel::kWarning, finding.node, "quarantine: " + line);
    for (const auto& entry : finding.entries) {
      if (!entry.examined) continue;
      reports_.push_back({entry.id, finding.node, entry.transactions, entry.wal_bytes});
      if (counted_.insert(entry.id).second) {
        lost_transactions_ += entry.transactions;
        lost_wal_bytes_ += entry.wal_bytes;
      }
      announce(entry);
    }
  }
  if (std::exchange(look_again_, false)) timer_.start_once(Duration::zero());
}

void QuarantineKeeper::announce(const QuarantineEntry& entry) {
  std::error_code ignored;
  if (std::filesystem::exists(entry.folder + kAnnouncedFile, ignored)) return;
  const auto& node = entry.divergence.node;
  found_({entry.id, node, entry.transactions, entry.wal_bytes});
  tell_(entry.transactions > 0 ? LogLevel::kWarning : LogLevel::kInfo, node,
        "the cluster lacks " + lost_text(entry) + " that " + node + " alone had: pgkeel lost " + cluster_.name + " " +
            entry.id);
  // After the event: it is rather told twice than never.
  if (const auto noted = write_durably(entry.folder + kAnnouncedFile, ""); !noted) {
    log(LogLevel::kWarning, node, noted.error().message);
  }
}

}  // namespace pgkeel
