#include "proxy/cli/lost.h"

#include <algorithm>
#include <filesystem>
#include <iostream>
#include <optional>
#include <utility>
#include <vector>

#include <nlohmann/json.hpp>

#include "config/find.h"
#include "proxy/cli/exit_status.h"
#include "proxy/cli/load.h"
#include "proxy/cli/lost_text.h"
#include "replication/agent/data_directory.h"
#include "replication/agent/lost_export.h"
#include "replication/agent/lost_report.h"
#include "replication/execute/agent_lost.h"

namespace pgkeel {
namespace {

using Json = nlohmann::json;

void tell(const std::string& line) {
  std::cerr << line << "\n";
}

// A report, and where it is: of a server on this host, or beside one on another host, which an agent serves.
struct Found {
  QuarantineEntry entry;
  std::optional<LocalServerConfig> server;
  std::optional<AgentAccessConfig> agent;

  [[nodiscard]] AgentLost through_agent() const { return AgentLost(std::make_shared<AgentConnections>(*agent)); }
};

struct Reports {
  std::vector<Found> found;               // oldest first
  std::vector<std::string> out_of_reach;  // why those of a node are not among them
};

void add_reports_of_agent(const NodeConfig& node, Reports& reports) {
  auto told = AgentLost(std::make_shared<AgentConnections>(*node.agent)).entries();
  if (!told) {
    reports.out_of_reach.push_back("what is beside " + node.name + " is not known: its agent: " + told.error().message);
    return;
  }
  for (auto& one : *told) reports.found.push_back({std::move(one.entry), std::nullopt, node.agent});
}

Reports find_reports(const ClusterConfig& cluster) {
  Reports reports;
  for (const auto& node : cluster.nodes) {
    if (node.agent) {
      add_reports_of_agent(node, reports);
    } else if (!node.local) {
      reports.out_of_reach.push_back(node.name + " is not on this host and has no agent, so it is not looked at");
    } else {
      for (auto& entry : read_quarantine(quarantine_folder_of(*node.local), DataDirectory(*node.local).path()))
        reports.found.push_back({std::move(entry), *node.local, std::nullopt});
    }
  }
  std::ranges::sort(reports.found, {}, [](const Found& one) { return one.entry.time; });
  return reports;
}

std::vector<QuarantineEntry> entries_of(const std::vector<Found>& found) {
  std::vector<QuarantineEntry> entries;
  for (const auto& one : found) entries.push_back(one.entry);
  return entries;
}

int list(const std::vector<Found>& found, bool json) {
  const auto entries = entries_of(found);
  std::cout << (json ? lost_list_json(entries).dump(2) + "\n" : lost_list_text(entries));
  return kExitDone;
}

// An agent completes its reports by itself.
Result<Json> report_of(Found& found) {
  if (found.agent) return found.through_agent().report(found.entry.id);
  if (!found.entry.examined && found.entry.data_exists) {
    auto made = make_lost_report(found.entry, *found.server);
    if (!made) return made.error();
    found.entry = std::move(*made);
  }
  return read_report(found.entry.folder);
}

int show(Found found, bool json) {
  auto report = report_of(found);
  if (!report) return fail(report.error().message);
  auto transactions = found.agent ? found.through_agent().transactions(found.entry.id, *report)
                                  : read_lost_transactions(found.entry.folder);
  if (!transactions) return fail(transactions.error().message);
  if (json) {
    (*report)["report"] = found.entry.id;
    (*report)["folder"] = found.entry.folder;
    (*report)["transactions"] = Json(*transactions);
    std::cout << report->dump(2) << "\n";
  } else {
    std::cout << lost_report_text(found.entry, *report, *transactions);
  }
  return kExitDone;
}

Result<LostExportReport> write_rows(const Found& found, const std::string& target) {
  if (found.agent) return found.through_agent().export_rows(found.entry.id, target, tell);
  return export_lost_rows(found.entry, *found.server, found.entry.data, target, OpenDiverged::kWorkingCopy, tell);
}

int write_out(const Found& found, const std::string& folder) {
  const auto& entry = found.entry;
  if (!entry.removed.empty()) return fail("what " + entry.id + " kept was removed: " + entry.removed);
  if (!entry.data_exists && !(found.agent && entry.has_export)) {
    if (entry.has_export)
      return fail("its rows were written out before the rewind already: " + entry.folder + "/export");
    return fail("the data directory " + entry.data + " is not there; is a rejoin of " + entry.divergence.node +
                " under way? See pgkeel status");
  }
  std::error_code problem;
  const auto target = std::filesystem::absolute(folder, problem).lexically_normal();
  const auto report = write_rows(found, target);
  if (!report) return fail(report.error().message);
  for (const auto& text : report->problems) tell("but: " + text);
  for (const auto& text : report->left_out) tell("in no file: " + text);
  if (!report->complete())
    tell("the files are NOT COMPLETE: what is in no file is in " + entry.data + " alone; keep it");
  std::cout << report->tables << " tables: " << report->inserted << " rows inserted, " << report->updated
            << " updated, " << report->deleted << " deleted or with another key";
  if (const auto& objects = report->large_objects; objects.written + objects.deleted > 0)
    std::cout << "; " << objects.written << " large objects written, " << objects.deleted << " deleted";
  std::cout << "; how to bring them back: " << target.string() << "/README.txt\n";
  return kExitDone;
}

}  // namespace

int run_lost(const LostOptions& options) {
  const auto config = load_or_tell(options.config_path);
  if (!config) return kExitRefused;
  if (const auto wrong = complain_of_cluster(*config, options.cluster)) {
    fail(*wrong);
    return kExitUsage;
  }
  const ClusterConfig* cluster = find_cluster_config(*config, options.cluster);
  auto [found, out_of_reach] = find_reports(*cluster);
  for (const auto& why : out_of_reach) tell(why);
  if (options.report.empty()) {
    if (options.export_folder.empty()) return list(found, options.json);
    return fail("--export needs a report: pgkeel lost " + cluster->name + " lists them");
  }
  std::erase_if(found, [&](const Found& one) { return !one.entry.id.starts_with(options.report); });
  if (found.empty())
    return fail("there is no report " + options.report + ": pgkeel lost " + cluster->name + " lists them");
  if (found.size() > 1) return fail("several reports begin with " + options.report + "; tell more of its name");
  return options.export_folder.empty() ? show(found.front(), options.json)
                                       : write_out(found.front(), options.export_folder);
}

}  // namespace pgkeel
