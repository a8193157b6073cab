// The parts of agent_protocol.h that tell of a host and of its agent.
#include <chrono>
#include <limits>
#include <utility>

#include "replication/agent/agent_protocol.h"
#include "replication/agent/json_members.h"

namespace pgkeel {
namespace {

constexpr std::size_t kDisksMax = 1000;
constexpr std::size_t kProgramsMax = 100;
constexpr std::int64_t kMillisecondsMax = std::numeric_limits<std::int64_t>::max() / 2'000'000;

std::int64_t milliseconds_of(WallTime time) {
  return std::chrono::duration_cast<std::chrono::milliseconds>(time.time_since_epoch()).count();
}

WallTime time_in(Members& members, const char* name) {
  return WallTime(std::chrono::milliseconds(members.number<std::int64_t>(name, kMillisecondsMax)));
}

Json host_to_json(const HostFacts& host) {
  Json disks = Json::array();
  for (const auto& disk : host.disks) {
    disks.push_back({{"holds", disk.holds},
                     {"path", disk.path},
                     {"free_bytes", disk.free_bytes},
                     {"total_bytes", disk.total_bytes}});
  }
  Json other_versions = Json::array();
  for (const auto& [program, version] : host.other_versions)
    other_versions.push_back({{"program", program}, {"version", version}});
  return {{"disks", std::move(disks)},
          {"memory_available_bytes", host.memory_available_bytes},
          {"memory_total_bytes", host.memory_total_bytes},
          {"data_directory_is_mount_point", host.data_directory_is_mount_point},
          {"data_directory_is_empty", host.data_directory_is_empty},
          {"parent_is_writable", host.parent_is_writable},
          {"postgres_version", host.postgres_version},
          {"missing_programs", host.missing_programs},
          {"other_versions", std::move(other_versions)}};
}

// An older agent does not tell all of this: what it leaves out is not known, and hinders nothing.
HostFacts host_in(const Json& json, Members& around) {
  Members members(json);
  HostFacts host;
  const auto take_over = [&](const Members& inner) {
    if (!inner.problem().empty()) members.complain(inner.problem());
  };
  for (const auto& row : members.array_or_none("disks", kDisksMax)) {
    Members inner(row);
    host.disks.push_back({inner.text("holds"), inner.text("path"), inner.number<std::uint64_t>("free_bytes"),
                          inner.number<std::uint64_t>("total_bytes")});
    take_over(inner);
  }
  host.memory_available_bytes = members.number_or<std::uint64_t>("memory_available_bytes", 0);
  host.memory_total_bytes = members.number_or<std::uint64_t>("memory_total_bytes", 0);
  host.data_directory_is_mount_point = members.flag_or("data_directory_is_mount_point", false);
  host.data_directory_is_empty = members.flag_or("data_directory_is_empty", false);
  host.parent_is_writable = members.flag_or("parent_is_writable", true);
  host.postgres_version = members.text_or("postgres_version", "");
  for (const auto& row : members.array_or_none("missing_programs", kProgramsMax)) {
    if (!row.is_string()) members.complain("missing_programs has what is no text");
    if (row.is_string()) host.missing_programs.push_back(row.get<std::string>().substr(0, kTextBytesMax));
  }
  for (const auto& row : members.array_or_none("other_versions", kProgramsMax)) {
    Members inner(row);
    const std::string program = inner.text("program");
    host.other_versions[program] = inner.text("version");
    take_over(inner);
  }
  if (!members.problem().empty()) around.complain(members.problem());
  return host;
}

}  // namespace

std::string to_json(const NodeHostFacts& facts) {
  Json json = {{"nothing_runs", facts.nothing_runs},
               {"data_directory_exists", facts.data_directory_exists},
               {"has_standby_signal", facts.has_standby_signal},
               {"rejoin_cut_off", facts.rejoin_cut_off},
               {"host", host_to_json(facts.host)},
               {"pgkeel_version", facts.pgkeel_version},
               {"clock_ms", milliseconds_of(facts.clock)}};
  if (facts.certificate_ends) json["certificate_ends_ms"] = milliseconds_of(*facts.certificate_ends);
  if (facts.postmaster_pid) json["postmaster_pid"] = *facts.postmaster_pid;
  if (facts.control) {
    const auto& control = *facts.control;
    json["control"] = {{"system_identifier", control.system_identifier},
                       {"cluster_state", control.cluster_state},
                       {"checkpoint_timeline", control.checkpoint_timeline},
                       {"checkpoint", format_lsn(control.checkpoint)},
                       {"checkpoint_redo", format_lsn(control.checkpoint_redo)},
                       {"min_recovery_end", format_lsn(control.min_recovery_end)},
                       {"min_recovery_timeline", control.min_recovery_timeline},
                       {"wal_segment_bytes", control.wal_segment_bytes},
                       {"wal_block_bytes", control.wal_block_bytes},
                       {"wal_log_hints", control.wal_log_hints},
                       {"data_checksums", control.data_checksums}};
  }
  return dump_line(json);
}

Result<NodeHostFacts> parse_node_host_facts(std::string_view text) {
  const Json json = parse_json(text);
  Members members(json);
  NodeHostFacts facts;
  facts.nothing_runs = members.flag("nothing_runs");
  facts.data_directory_exists = members.flag("data_directory_exists");
  facts.has_standby_signal = members.flag("has_standby_signal");
  facts.rejoin_cut_off = members.flag("rejoin_cut_off");
  if (const Json* found = members.find("host")) facts.host = host_in(*found, members);
  facts.pgkeel_version = members.text_or("pgkeel_version", "");
  if (members.find("clock_ms") != nullptr) facts.clock = time_in(members, "clock_ms");
  if (members.find("certificate_ends_ms") != nullptr) facts.certificate_ends = time_in(members, "certificate_ends_ms");
  if (members.find("postmaster_pid") != nullptr) facts.postmaster_pid = members.number<std::int32_t>("postmaster_pid");
  if (const Json* found = members.find("control")) {
    Members inner(*found);
    ControlData control;
    control.system_identifier = inner.text("system_identifier");
    control.cluster_state = inner.text("cluster_state");
    control.checkpoint_timeline = inner.number<Timeline>("checkpoint_timeline");
    control.checkpoint = inner.lsn("checkpoint");
    control.checkpoint_redo = inner.lsn("checkpoint_redo");
    control.min_recovery_end = inner.lsn("min_recovery_end");
    control.min_recovery_timeline = inner.number<Timeline>("min_recovery_timeline");
    control.wal_segment_bytes = inner.number<std::uint32_t>("wal_segment_bytes");
    control.wal_block_bytes = inner.number<std::uint32_t>("wal_block_bytes");
    control.wal_log_hints = inner.flag("wal_log_hints");
    control.data_checksums = inner.flag("data_checksums");
    if (!inner.problem().empty()) members.complain(inner.problem());
    facts.control = std::move(control);
  }
  return checked(members, std::move(facts), "facts of a host");
}

std::string to_json(const AgentReport& report) {
  Json json = {{"instance", report.instance},
               {"sequence", report.sequence},
               {"clock_ns", report.clock.count()},
               {"job", report.job},
               {"notices", Json::array()}};
  if (report.postmaster) {
    json["postmaster"] = {{"pid", report.postmaster->pid},
                          {"started_at", report.postmaster->started_at},
                          {"uptime_ms", to_milliseconds(report.postmaster->uptime)}};
    if (report.postmaster->port) json["postmaster"]["port"] = *report.postmaster->port;
  }
  if (report.certificate_ends) json["certificate_ends_ms"] = milliseconds_of(*report.certificate_ends);
  if (report.postmaster_ended) json["postmaster_ended_ns"] = report.postmaster_ended->count();
  for (const auto& notice : report.notices)
    json["notices"].push_back({{"number", notice.number}, {"text", notice.text}});
  return dump_line(json);
}

Result<AgentReport> parse_agent_report(std::string_view text) {
  const Json json = parse_json(text);
  Members members(json);
  AgentReport report;
  report.instance = members.text("instance", kIdBytesMax);
  report.sequence = members.number<std::uint64_t>("sequence");
  report.clock = Duration(members.number<std::int64_t>("clock_ns"));
  report.job = members.text_or("job", "");
  if (const Json* found = members.find("postmaster")) {
    Members inner(*found);
    ReportedPostmaster postmaster;
    postmaster.pid = inner.number<std::int32_t>("pid");
    if (inner.find("port") != nullptr) postmaster.port = inner.number<std::uint16_t>("port");
    postmaster.started_at = inner.number<std::int64_t>("started_at");
    postmaster.uptime = std::chrono::milliseconds(inner.number<std::int64_t>("uptime_ms", kMillisecondsMax));
    if (!inner.problem().empty()) members.complain(inner.problem());
    report.postmaster = postmaster;
  }
  if (members.find("postmaster_ended_ns") != nullptr)
    report.postmaster_ended = Duration(members.number<std::int64_t>("postmaster_ended_ns"));
  if (members.find("certificate_ends_ms") != nullptr) report.certificate_ends = time_in(members, "certificate_ends_ms");
  for (const auto& row : members.array_or_none("notices", 1000)) {
    Members inner(row);
    report.notices.push_back({inner.number<std::uint64_t>("number"), inner.text("text")});
    if (!inner.problem().empty()) members.complain(inner.problem());
  }
  if (!is_id(report.instance)) members.complain("instance is empty, or has a strange character");
  return checked(members, std::move(report), "report of an agent");
}

}  // namespace pgkeel
