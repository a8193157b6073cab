#include "proxy/cli/lost.h"

#include <algorithm>
#include <filesystem>
#include <iostream>
#include <optional>
#include <utility>
#include <vector>

#include "proxy/cli/exit_status.h"
#include "proxy/cli/load.h"
#include "proxy/cli/lost_text.h"
#include "replication/agent/data_directory.h"
#include "replication/agent/lost_export.h"
#include "replication/agent/lost_report.h"

namespace pgkeel {
namespace {

using Json = nlohmann::json;

int refuse(const std::string& why) {
  std::cerr << "pgkeel: " << why << "\n";
  return kExitRefused;
}

void say(const std::string& line) {
  std::cerr << line << "\n";
}

// A report, and the server on this host that it is of.
struct Found {
  QuarantineEntry entry;
  LocalServerConfig server;
};

std::vector<Found> find_reports(const ClusterConfig& cluster) {
  std::vector<Found> found;
  for (const auto& node : cluster.nodes) {
    if (!node.local) continue;
    for (auto& entry : read_quarantine(quarantine_folder_of(*node.local), DataDirectory(*node.local).path())) {
      found.push_back({std::move(entry), *node.local});
    }
  }
  std::ranges::sort(found, {}, [](const Found& one) { return one.entry.time; });
  return found;
}

std::vector<QuarantineEntry> entries_of(const std::vector<Found>& found) {
  std::vector<QuarantineEntry> entries;
  for (const auto& one : found) entries.push_back(one.entry);
  return entries;
}

std::string elsewhere_text(const ClusterConfig& cluster) {
  std::string names;
  for (const auto& node : cluster.nodes) {
    if (!node.local) names += (names.empty() ? "" : ", ") + node.name;
  }
  return names.empty() ? "" : "not on this host, so not looked at: " + names;
}

int list(const ClusterConfig& cluster, const std::vector<Found>& found, bool json) {
  const auto entries = entries_of(found);
  std::cout << (json ? lost_list_json(entries).dump(2) + "\n" : lost_list_text(entries));
  if (const auto text = elsewhere_text(cluster); !text.empty()) say(text);
  return kExitDone;
}

int show(Found found, bool json) {
  if (!found.entry.examined && found.entry.data_exists) {
    auto made = make_lost_report(found.entry, found.server);
    if (!made) return refuse(made.error().message);
    found.entry = std::move(*made);
  }
  auto report = read_report(found.entry.folder);
  if (!report) return refuse(report.error().message);
  auto transactions = read_lost_transactions(found.entry.folder);
  if (!transactions) return refuse(transactions.error().message);
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

int write_out(const Found& found, const std::string& folder) {
  const auto& entry = found.entry;
  if (!entry.data_exists) {
    if (entry.has_export)
      return refuse("its rows were written out before the rewind already: " + entry.folder + "/export");
    return refuse("the data directory " + entry.data + " is not there; is a rejoin of " + entry.divergence.node +
                  " under way? See pgkeel status");
  }
  std::error_code problem;
  const auto target = std::filesystem::absolute(folder, problem).lexically_normal();
  const auto report = export_lost_rows(entry, found.server, entry.data, target, OpenDiverged::kWorkingCopy, say);
  if (!report) return refuse(report.error().message);
  for (const auto& text : report->problems) say("but: " + text);
  std::cout << report->tables << " tables: " << report->inserted << " rows inserted, " << report->updated
            << " updated, " << report->deleted
            << " deleted or with another key; how to bring them back: " << target.string() << "/README.txt\n";
  return kExitDone;
}

}  // namespace

int run_lost(const LostOptions& options) {
  const auto config = load_or_tell(options.config_path);
  if (!config) return kExitRefused;
  const auto cluster = std::ranges::find(config->clusters, options.cluster, &ClusterConfig::name);
  if (cluster == config->clusters.end()) return refuse("there is no cluster " + options.cluster);
  auto found = find_reports(*cluster);
  if (options.report.empty()) {
    if (options.export_folder.empty()) return list(*cluster, found, options.json);
    return refuse("--export needs a report: pgkeel lost " + cluster->name + " lists them");
  }
  std::erase_if(found, [&](const Found& one) { return !one.entry.id.starts_with(options.report); });
  if (found.empty()) return refuse("there is no report " + options.report);
  if (found.size() > 1) return refuse("several reports begin with " + options.report);
  return options.export_folder.empty() ? show(found.front(), options.json)
                                       : write_out(found.front(), options.export_folder);
}

}  // namespace pgkeel
