#include "proxy/cli/status_text.h"

#include <algorithm>
#include <vector>

#include <fmt/format.h>
#include <nlohmann/json.hpp>

#include "proxy/cli/decision_lines.h"
#include "proxy/cli/shown_json.h"

namespace pgkeel {
namespace {

using Json = nlohmann::json;

std::string bytes_text(const Json& value) {
  if (!value.is_number_unsigned()) return "-";
  const auto bytes = value.get<std::uint64_t>();
  if (bytes < 1024) return fmt::format("{} B", bytes);
  if (bytes < 1024 * 1024) return fmt::format("{:.1f} KiB", static_cast<double>(bytes) / 1024);
  if (bytes < 1024 * 1024 * 1024) return fmt::format("{:.1f} MiB", static_cast<double>(bytes) / (1024 * 1024));
  return fmt::format("{:.1f} GiB", static_cast<double>(bytes) / (1024 * 1024 * 1024));
}

std::string version_text(const Json& value) {
  const auto number = value.get<std::uint32_t>();
  return number == 0 ? "-" : fmt::format("{}.{}", number / 10000, number % 10000);
}

std::string table(const std::vector<std::vector<std::string>>& rows) {
  std::vector<std::size_t> widths;
  for (const auto& row : rows) {
    widths.resize(std::max(widths.size(), row.size()));
    for (std::size_t i = 0; i < row.size(); ++i) widths[i] = std::max(widths[i], row[i].size());
  }
  std::string text;
  for (const auto& row : rows) {
    std::string line = " ";
    for (std::size_t i = 0; i < row.size(); ++i)
      line += fmt::format(" {:<{}}", row[i], i + 1 < row.size() ? widths[i] + 1 : 0);
    text += line.substr(0, line.find_last_not_of(' ') + 1) + "\n";
  }
  return text;
}

Paint paint_of_condition(const std::string& condition) {
  if (condition == "normal") return Paint::kGood;
  return condition == "no route" || condition == "collision" ? Paint::kBad : Paint::kWarning;
}

Paint paint_of_severity(const std::string& severity) {
  return severity == "error" ? Paint::kBad : severity == "warning" ? Paint::kWarning : Paint::kPlain;
}

Paint paint_of_node(const Json& node) {
  return node.at("role").is_string() ? Paint::kPlain : Paint::kBad;
}

// Of nodes on whose host pgkeel or an agent is there to look.
std::string host_lines(const Json& nodes) {
  std::string text;
  for (const auto& node : nodes) {
    const Json host = node.value("host", Json());
    if (host.is_null()) continue;
    text += "  host of " + node.at("name").get<std::string>() + ":";
    for (const auto& disk : host.at("disks")) {
      text += fmt::format(" {} {} free of {},", disk.at("holds").get<std::string>(), bytes_text(disk.at("free_bytes")),
                          bytes_text(disk.at("total_bytes")));
    }
    text += fmt::format(" memory {} available of {}\n", bytes_text(host.at("memory_available_bytes")),
                        bytes_text(host.at("memory_total_bytes")));
  }
  return text;
}

// Notices are left to the JSON and to `pgkeel check --live`.
std::string readiness_lines(const Json& readiness, const Painter& painter) {
  if (readiness.is_null()) return "  readiness: not looked at yet\n";
  const bool failover = readiness.at("failover_would_work").get<bool>();
  const bool rejoin = readiness.at("rejoin_would_work").get<bool>();
  const auto would = [&](bool work) { return work ? "would work" : painter(Paint::kBad, "WOULD NOT WORK"); };
  std::string text = fmt::format("  readiness: a failover {}, a rejoin {} (looked at {})\n", would(failover),
                                 would(rejoin), readiness.at("looked_at").get<std::string>());
  for (const auto& finding : readiness.at("findings")) {
    if (finding.at("severity") == "notice") continue;
    const auto severity = finding.at("severity").get<std::string>();
    text += fmt::format("    {}: {}{}; {}\n", painter(paint_of_severity(severity), severity),
                        finding.at("node").is_null() ? "" : finding.at("node").get<std::string>() + ": ",
                        finding.at("problem").get<std::string>(), finding.at("remedy").get<std::string>());
  }
  return text;
}

std::string read_only_lines(const Json& read_only) {
  if (!read_only.is_object()) return "";
  std::string takers;
  std::string others;
  for (const auto& node : read_only.at("nodes")) {
    const auto name = node.at("name").get<std::string>();
    const auto sessions = node.at("sessions").get<std::uint64_t>();
    const std::string count = fmt::format("{} ({})", name, sessions);
    if (node.at("takes_new").get<bool>())
      takers += (takers.empty() ? "" : ", ") + count;
    else if (!node.at("is_primary").get<bool>() || sessions > 0)
      others += fmt::format("    {}: {}\n", count,
                            node.at("is_primary").get<bool>() ? "the primary, while no standby was eligible"
                                                              : node.at("why_not").get<std::string>());
  }
  const Json& sessions = read_only.at("sessions");
  return fmt::format("  read-only endpoint {} -> {}; {} clients, {} held\n",
                     read_only.at("access_point").get<std::string>(), takers.empty() ? "nowhere" : takers,
                     sessions.at("open").get<std::uint64_t>(), sessions.at("held").get<std::uint64_t>()) +
         others;
}

// Of several pgkeels.
std::string coordination_lines(const Json& coordination, const Painter& painter) {
  if (!coordination.is_object()) return "";
  std::string text;
  for (const auto& member : coordination.at("members")) {
    std::string state = member.at("leads").get<bool>() ? "leads, " : "";
    if (!member.at("has_lease").get<bool>())
      state = painter(Paint::kBad, "has no lease");
    else if (member.at("follows_route").get<bool>())
      state += "follows the route";
    else
      state += painter(Paint::kWarning, "has not followed the route yet");
    if (member.at("is_self").get<bool>())
      state += coordination.at("routes").get<bool>()
                   ? fmt::format(", and may for {} ms more", coordination.at("may_route_for_ms").get<std::int64_t>())
                   : ", " + painter(Paint::kBad, "lets nobody through");
    if (const Json why = member.value("cannot_decide", Json()); why.is_string())
      state += "; " + painter(Paint::kBad, "cannot decide") + ": " + why.get<std::string>();
    std::string keys;
    for (const auto& key : member.at("differs_in")) keys += (keys.empty() ? "" : ", ") + key.get<std::string>();
    if (!keys.empty()) state += "; " + painter(Paint::kWarning, "configured differently") + " in " + keys;
    text += fmt::format("  pgkeel {} ({}{}): {}\n", member.at("name").get<std::string>(),
                        member.at("is_self").get<bool>() ? "this one, " : "",
                        member.at("version").is_null()
                            ? "gone"
                            : member.at("version").get<std::string>() + ", " + text_or_dash(member.at("address")),
                        state);
  }
  if (coordination.at("leader").is_null()) text += "  " + painter(Paint::kBad, "no pgkeel leads now") + "\n";
  if (const Json problem = coordination.value("etcd_problem", Json()); problem.is_string()) {
    text += fmt::format("  etcd: {}; {} of {} promises of the other pgkeels that replace it are held\n",
                        painter(Paint::kBad, problem.get<std::string>()),
                        coordination.at("promises_held").get<std::size_t>(),
                        coordination.at("promises_wanted").get<std::size_t>());
  }
  if (const Json vip = coordination.value("vip", Json()); vip.is_object()) {
    text +=
        fmt::format("  virtual IP {}: {}{}\n", vip.at("address").get<std::string>(),
                    vip.at("holder").is_null() ? painter(Paint::kBad, "nobody holds it")
                                               : "of pgkeel " + vip.at("holder").get<std::string>(),
                    vip.at("is_held").get<bool>() ? ", on " + vip.at("interface").get<std::string>() + " here" : "");
  }
  return text;
}

std::string cluster_text(const Json& cluster, const Painter& painter) {
  const Json& sessions = cluster.at("sessions");
  const auto condition = cluster.at("condition").get<std::string>();
  std::string text =
      fmt::format("{}: {}: {}\n", cluster.at("name").get<std::string>(),
                  painter(paint_of_condition(condition), condition), cluster.at("summary").get<std::string>());
  text += fmt::format("  access point {} -> {}, epoch {}; {} clients, {} held\n",
                      cluster.at("access_point").get<std::string>(),
                      cluster.at("route").is_null() ? "nowhere" : cluster.at("route").get<std::string>(),
                      cluster.at("epoch").get<std::uint64_t>(), sessions.at("open").get<std::uint64_t>(),
                      sessions.at("held").get<std::uint64_t>());
  text += read_only_lines(cluster.value("read_only", Json()));
  text += coordination_lines(cluster.value("coordination", Json()), painter);
  if (const auto left = cluster.value("draining_sessions", std::uint64_t{0}); left > 0)
    text +=
        fmt::format("  {} clients are left in a former process, and end there by themselves or after a minute\n", left);
  if (cluster.at("state_error").is_string())
    text += "  " + painter(Paint::kBad, "the state cannot be stored") + ": " +
            cluster.at("state_error").get<std::string>() + "\n";
  std::vector<std::vector<std::string>> rows = {
      {"node", "address", "role", "version", "timeline", "WAL", "behind", "state"}};
  for (const auto& node : cluster.at("nodes")) {
    const auto timeline = node.at("timeline").get<std::uint32_t>();
    rows.push_back({node.at("name"), node.at("address"), text_or_dash(node.at("role")),
                    version_text(node.at("server_version_number")), timeline == 0 ? "-" : std::to_string(timeline),
                    text_or_dash(node.at("wal_position")), bytes_text(node.at("lag_bytes")),
                    painter(paint_of_node(node), node.at("note").get<std::string>())});
  }
  text += table(rows);
  text += host_lines(cluster.at("nodes"));
  for (const auto& each : cluster.value("maintenance", Json::array())) {
    const std::string node = each.at("node").is_null() ? "" : " " + each.at("node").get<std::string>();
    text += fmt::format("  {}: {} since {} ({}); `pgkeel maintenance off {}{}` ends it\n",
                        painter(Paint::kWarning, "maintenance"), node.empty() ? "the whole cluster" : node.substr(1),
                        each.at("since").get<std::string>(), each.at("given_by").get<std::string>(),
                        cluster.at("name").get<std::string>(), node);
  }
  text += readiness_lines(cluster.at("readiness"), painter);
  for (const auto& lost : cluster.value("lost", Json::array())) {
    const auto transactions = lost.at("transactions").get<std::uint64_t>();
    if (transactions == 0) continue;
    text += fmt::format("  {}: {} ({} of WAL) that {} alone had: pgkeel lost {} {}\n", painter(Paint::kWarning, "lost"),
                        committed_transactions(transactions), bytes_text(lost.at("wal_bytes")),
                        lost.at("node").get<std::string>(), cluster.at("name").get<std::string>(),
                        lost.at("report").get<std::string>());
  }
  for (const auto& left : cluster.value("left_slots", Json::array()))
    text += "  " + left.at("text").get<std::string>() + "\n";
  for (const auto& action : cluster.at("actions")) {
    if (action.at("state") == "done") continue;
    text += fmt::format(
        "  {}: {}{}\n", action.at("action").get<std::string>(), action.at("state").get<std::string>(),
        action.at("message").get<std::string>().empty() ? "" : ": " + action.at("message").get<std::string>());
  }
  return text;
}

template <class Print>
Result<std::string> print_document(const std::string& text, const char* member, const char* separator, Print print) {
  const Json document = Json::parse(text, nullptr, false);
  try {
    std::string printed;
    for (const auto& entry : document.at(member)) printed += (printed.empty() ? "" : separator) + print(entry);
    return printed;
  } catch (const Json::exception& problem) {
    return Error{std::string("the answer is not what this pgkeel expects: ") + problem.what()};
  }
}

// Only where there is something to tell.
std::string configuration_lines(const Json& document) {
  const auto configuration = document.find("configuration");
  if (configuration == document.end() || !configuration->is_object()) return "";
  std::string text;
  for (const auto& [member, what] : {std::pair("problems", "the configuration on disk is not what runs: "),
                                     std::pair("waiting_for_restart", "waits for a restart: ")}) {
    const auto lines = configuration->find(member);
    if (lines == configuration->end()) continue;
    for (const auto& line : *lines) {
      if (line.is_string()) text += what + line.get<std::string>() + "\n";
    }
  }
  return text;
}

}  // namespace

Result<std::string> status_text(const std::string& clusters_json, const Painter& painter) {
  auto text = print_document(clusters_json, "clusters", "\n",
                             [&](const Json& cluster) { return cluster_text(cluster, painter); });
  if (text) *text += configuration_lines(Json::parse(clusters_json, nullptr, false));
  return text;
}

Result<std::string> events_text(const std::string& events_json, std::uint64_t& last_id, const std::string& cluster,
                                const Painter& painter) {
  return print_document(events_json, "events", "", [&](const Json& event) -> std::string {
    event.at("id").get_to(last_id);
    if (!cluster.empty() && event.at("cluster") != cluster) return "";
    const auto severity = event.at("severity").get<std::string>();
    return fmt::format("{} {} {} epoch {}: {}\n", event.at("when").get<std::string>(),
                       painter(paint_of_severity(severity), fmt::format("{:7}", severity)),
                       event.at("cluster").get<std::string>(), event.at("epoch").get<std::uint64_t>(),
                       event.at("text").get<std::string>());
  });
}

Result<std::string> status_json_line(const std::string& clusters_json) {
  const Json document = Json::parse(clusters_json, nullptr, false);
  if (!document.is_object()) return Error{"the answer is not what this pgkeel expects"};
  return document.dump() + "\n";
}

Result<std::string> events_json_lines(const std::string& events_json, std::uint64_t& last_id) {
  return print_document(events_json, "events", "", [&](const Json& event) {
    event.at("id").get_to(last_id);
    return event.dump() + "\n";
  });
}

Result<std::string> decisions_text(const std::string& decisions_json) {
  return print_document(decisions_json, "decisions", "\n", decision_lines);
}

Result<std::string> decisions_json_lines(const std::string& decisions_json) {
  return print_document(decisions_json, "decisions", "", [](const Json& record) { return record.dump() + "\n"; });
}

}  // namespace pgkeel
