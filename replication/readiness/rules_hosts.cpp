// Hosts: disks, files, programs, agents.
#include <algorithm>
#include <charconv>

#include <fmt/format.h>

#include "proxy/base/version.h"
#include "replication/readiness/rule_set.h"

namespace pgkeel {
namespace {

constexpr std::uint64_t kFullBytes = 256ULL << 20;  // below this a server soon cannot write WAL any more
constexpr std::uint64_t kNearlyFullBytes = 4ULL << 30;
constexpr std::uint64_t kNearlyFullPercent = 5;
constexpr std::uint64_t kLittleMemoryPercent = 5;
constexpr Duration kRenewBefore = std::chrono::days(30);  // the end of a certificate

void judge_disks(const Judged& judged, const NodeReadinessFacts& node, const HostFacts& host) {
  for (const auto& disk : host.disks) {
    const bool full = disk.free_bytes < kFullBytes;
    const bool nearly =
        disk.free_bytes < kNearlyFullBytes && disk.free_bytes * 100 < disk.total_bytes * kNearlyFullPercent;
    if (!full && !nearly) continue;
    judged.find({.rule = "disk_space",
                 .node = node.node,
                 .subject = disk.path,
                 .severity = full ? FindingSeverity::kError : FindingSeverity::kWarning,
                 .prevents = full ? Prevents::kBoth : Prevents::kNothing,
                 .problem = fmt::format("the disk of its {} ({}) has {} of {} left", disk.holds, disk.path,
                                        bytes_text(disk.free_bytes), bytes_text(disk.total_bytes)),
                 .remedy = "make room there"});
  }
}

// WAL grows up to max_wal_size between two checkpoints, also where nothing keeps it.
void judge_room_for_wal(const Judged& judged, const NodeReadinessFacts& node, const HostFacts& host) {
  const auto wanted = node.number("max_wal_size");
  if (!wanted || *wanted <= 0 || host.disks.empty()) return;
  const auto own = std::ranges::find(host.disks, "pg_wal", &DiskFacts::holds);
  const DiskFacts& disk = own == host.disks.end() ? host.disks.front() : *own;
  const std::uint64_t has = disk.free_bytes + (node.server ? node.server->wal_bytes.value_or(0) : 0);
  if (has >= static_cast<std::uint64_t>(*wanted)) return;
  judged.find(
      {.rule = "room_for_wal",
       .node = node.node,
       .subject = disk.path,
       .severity = FindingSeverity::kWarning,
       .problem = fmt::format("the disk of its WAL ({}) has {} left, and WAL may grow to max_wal_size, which is "
                              "{}: a full disk stops the server",
                              disk.path, bytes_text(disk.free_bytes), bytes_text(static_cast<std::uint64_t>(*wanted))),
       .remedy = "make room there, or lower max_wal_size"});
}

// A rebuild is made beside the old data directory, and so is the quarantine's copy.
void judge_room_for_rebuild(const Judged& judged, const NodeReadinessFacts& node, const HostFacts& host) {
  if (!node.server || !node.server->database_bytes || host.disks.empty()) return;
  const std::uint64_t needed = *node.server->database_bytes;
  const DiskFacts& disk = host.disks.front();
  if (disk.free_bytes >= needed) return;
  judged.find(
      {.rule = "room_for_rebuild",
       .node = node.node,
       .severity = FindingSeverity::kWarning,
       .problem = fmt::format("{} has {} left, and a copy of the databases takes {}: a diverged node can be neither "
                              "set aside nor rebuilt",
                              disk.path, bytes_text(disk.free_bytes), bytes_text(needed)),
       .remedy = "make room there, or keep the data directory on a file system that can share blocks (XFS, btrfs)"});
}

void judge_files(const Judged& judged, const NodeReadinessFacts& node, const std::vector<std::string>& missing) {
  for (const auto& file : missing) {
    judged.find(
        {.rule = "missing_file",
         .node = node.node,
         .subject = file,
         .severity = FindingSeverity::kError,
         .prevents = Prevents::kBoth,
         .problem = fmt::format("a file that its settings name is not there ({}): it would not start again", file),
         .remedy = "put the file there, or correct the setting"});
  }
}

// The OOM killer prefers whoever has most, which is the server.
void judge_memory(const Judged& judged, const NodeReadinessFacts& node, const HostFacts& host) {
  if (host.memory_total_bytes == 0) return;
  if (host.memory_available_bytes >= host.memory_total_bytes / 100 * kLittleMemoryPercent) return;
  judged.find(
      {.rule = "memory",
       .node = node.node,
       .severity = FindingSeverity::kWarning,
       .problem = fmt::format("its host has {} of {} of memory left: the kernel may end its server",
                              bytes_text(host.memory_available_bytes), bytes_text(host.memory_total_bytes)),
       .remedy = "lower shared_buffers, work_mem or max_connections, end what else runs there, or give it more"});
}

std::uint32_t major_of(const std::string& version) {
  std::uint32_t major = 0;
  std::from_chars(version.data(), version.data() + version.size(), major);
  return major;
}

void judge_programs(const Judged& judged, const NodeReadinessFacts& node, const HostFacts& host) {
  Finding finding{.rule = "programs",
                  .node = node.node,
                  .severity = FindingSeverity::kError,
                  .prevents = Prevents::kRejoin,
                  .remedy = "install them, or correct bin_directory"};
  if (!host.missing_programs.empty()) {
    finding.problem = comma_list(host.missing_programs) + " cannot be found or run in its bin_directory";
    judged.find(finding);
  }
  const std::uint32_t major = major_of(host.postgres_version);
  if (node.server && major != 0 && major != node.server->version_number / 10000) {
    finding.subject = "postgres";
    finding.problem = fmt::format(
        "bin_directory has PostgreSQL {}, and its server is of version {}: it could neither "
        "be started nor be rewound",
        host.postgres_version, node.server->version_number / 10000);
    finding.remedy = "correct bin_directory";
    judged.find(finding);
  }
  for (const auto& [program, version] : host.other_versions) {
    const bool works = major_of(version) == major;
    finding.subject = program;
    finding.severity = works ? FindingSeverity::kWarning : FindingSeverity::kError;
    finding.prevents = works ? Prevents::kNothing : Prevents::kRejoin;
    finding.problem = fmt::format("{} is of version {}, and postgres beside it of version {}", program, version,
                                  host.postgres_version);
    finding.remedy = "install the same version of both";
    judged.find(finding);
  }
}

void judge_host(const Judged& judged, const NodeReadinessFacts& node, const HostFacts& host) {
  judge_disks(judged, node, host);
  judge_room_for_wal(judged, node, host);
  judge_room_for_rebuild(judged, node, host);
  judge_memory(judged, node, host);
  judge_programs(judged, node, host);
  if (!host.parent_is_writable) {
    judged.find(
        {.rule = "data_directory",
         .node = node.node,
         .severity = FindingSeverity::kError,
         .prevents = Prevents::kRejoin,
         .problem = "nothing can be written beside its data directory: neither a rewind nor a rebuild is possible",
         .remedy = "let pgkeel write to the folder that its data directory is in"});
  }
  if (host.data_directory_is_mount_point) {
    judged.find({.rule = "data_directory",
                 .node = node.node,
                 .severity = FindingSeverity::kWarning,
                 .problem = "its data directory is a mount point: it can be rewound, but not rebuilt",
                 .remedy = "keep the data directory in a folder below the mount point"});
  }
}

void judge_certificate(const Judged& judged, const NodeReadinessFacts& node, std::optional<WallTime> ends,
                       const std::string& whose, const std::string& remedy) {
  if (!ends || *ends - node.agent.asked_at > kRenewBefore) return;
  judged.find({.rule = "certificate",
               .node = node.node,
               .subject = whose,
               .severity = FindingSeverity::kWarning,
               .problem = fmt::format("{} certificate, or its authority's, ends at {}: from then on its agent cannot "
                                      "be reached",
                                      whose, format_wall_time(*ends)),
               .remedy = remedy + "; it is used without a restart"});
}

void judge_agent(const Judged& judged, const NodeReadinessFacts& node) {
  if (!node.agent.configured) {
    if (node.local) return;
    judged.find({.rule = "agent",
                 .node = node.node,
                 .severity = FindingSeverity::kWarning,
                 .problem =
                     "pgkeel reaches it by SQL only: it can be promoted, but neither be fenced for certain nor be "
                     "rebuilt, and its disks are not seen",
                 .remedy = "run pgkeel on its host with `local`, or an agent there"});
    return;
  }
  judge_certificate(judged, node, node.agent.certificate_ends, "the agent's",
                    "put a new certificate and key in the place of those in its agent.toml");
  judge_certificate(judged, node, node.agent.own_certificate_ends, "pgkeel's own",
                    "put a new certificate and key in the place of those in the node's `agent`");
  if (!node.agent.error.empty()) {
    judged.find({.rule = "agent",
                 .node = node.node,
                 .severity = FindingSeverity::kError,
                 .prevents = Prevents::kRejoin,
                 .problem = "its agent does not answer: " + node.agent.error,
                 .remedy = "start `pgkeel agent` there, and see that its port can be reached from here"});
  } else if (node.agent.version.empty()) {
    judged.find({.rule = "agent",
                 .node = node.node,
                 .severity = FindingSeverity::kWarning,
                 .problem = fmt::format("its agent is older than this pgkeel ({}), and does not tell its version: what "
                                        "it does not know of is not looked at",
                                        pgkeel_version()),
                 .remedy = "install the same version everywhere"});
  } else if (node.agent.version != pgkeel_version()) {
    judged.find(
        {.rule = "agent",
         .node = node.node,
         .severity = FindingSeverity::kWarning,
         .problem = fmt::format("its agent is version {}, and this pgkeel is {}", node.agent.version, pgkeel_version()),
         .remedy = "install the same version everywhere"});
  }
}

}  // namespace

void judge_hosts(const Judged& judged) {
  for (const auto& node : judged.nodes) {
    judge_agent(judged, node);
    if (node.host) judge_host(judged, node, *node.host);
    if (node.server) judge_files(judged, node, node.server->missing_files);
  }
}

}  // namespace pgkeel
