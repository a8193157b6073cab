// What `pgkeel status` and the admin endpoint tell of one cluster at one moment. Plain data; JSON and text are made
// from it.
#pragma once

#include <cstddef>
#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "proxy/base/address.h"
#include "proxy/base/duration_histogram.h"
#include "proxy/base/lsn.h"
#include "proxy/base/time.h"
#include "proxy/session/session_stats.h"
#include "replication/model/collision.h"
#include "replication/model/host_facts.h"
#include "replication/model/operator_order.h"
#include "replication/readiness/finding.h"

namespace pgkeel {

// How far a standby is behind, as the primary's pg_stat_replication says. The times are those of the newest WAL that
// the standby answered for; nothing where there was none for a while.
struct ReplicationLag {
  std::uint64_t write_bytes = 0, flush_bytes = 0, replay_bytes = 0;
  std::optional<Duration> write, flush, replay;
};

struct NodeStatus {
  std::string name;
  HostPort address;
  bool local = false;
  bool safe = false;     // counted on to hold acknowledged commits: it may be promoted
  std::string role;      // "primary", "standby", or "" where it does not answer
  std::string liveness;  // of the failure detector: alive, late, starting, stuck, dead, silent, unknown
  std::string evidence;
  std::string note;  // what it is, or what is wrong with it and what mends it
  std::uint32_t server_version_number = 0;
  Timeline timeline = 0;
  Lsn wal_position;
  std::optional<std::uint64_t> lag_bytes;  // of a standby behind the primary's flushed WAL
  bool streaming = false;
  std::optional<ReplicationLag> replication;  // of a standby that streams from the primary
  Duration uptime{};                          // since the postmaster's start; zero: it does not answer
  std::optional<Duration> last_answer_ago;    // nothing: it never answered
  std::uint64_t probes = 0;
  std::uint64_t failed_probes = 0;
  Duration last_probe_duration{};
  std::optional<WallTime> agent_certificate_ends;  // of a node with an agent, as it said last
  std::optional<WallTime> own_certificate_ends;    // of the one that pgkeel shows it
  std::optional<HostFacts> host;                   // where pgkeel or an agent is there to look
};

// A certificate that pgkeel shows.
struct CertificateStatus {
  std::string name;  // the key that names it: "client_tls"
  std::string file;
  WallTime not_after;
};

struct ActionReport {
  std::string action;  // "rejoin b"
  bool running = false;
  bool succeeded = false;
  std::string message;
};

// Would a failover and a rejoin work? What the newest of the looks said that are taken every few minutes.
struct ReadinessReport {
  Readiness readiness;
  WallTime looked_at;
};

// What a node alone had committed when its history parted from the cluster's: a report of `pgkeel lost`.
struct LostReportStatus {
  std::string report;
  std::string node;
  std::uint64_t transactions = 0;
  std::uint64_t wal_bytes = 0;
};

// A logical slot that did not come along when another node became the primary.
struct LeftSlotStatus {
  std::string slot;
  std::string database;
  std::string old_primary;
  std::string text;  // what is missing, and what to do about it
};

// What an operator works on, so that pgkeel leaves it alone.
struct MaintenanceStatus {
  std::string node;  // empty: the whole cluster
  WallTime since;
  std::string given_by;
};

// Failovers (refused ones too) and switchovers since this process started.
struct ChangeCount {
  std::string cause;   // "switchover", "operator", or what was known of the primary: "dead", "silent", "stuck"
  std::string result;  // "done", "failed", "refused"
  std::uint64_t count = 0;
};

struct PhaseDurations {
  std::string kind;   // "failover", "switchover"
  std::string phase;  // the step that ends it, of `pgkeel decisions`
  DurationHistogram durations;
};

// A thread of this process.
struct LoopStatus {
  std::string name;  // "control", "worker 0"
  Duration worst_lag{};
};

// A node as the read-only endpoint has it.
struct ReaderStatus {
  std::string node;
  std::string standing;  // eligible, behind (its sessions may stay), excluded
  bool is_primary = false;
  bool takes_new = false;  // new sessions go there
  std::string why_not;     // it is not eligible
  std::optional<Duration> lag;
  std::optional<std::uint64_t> lag_bytes;
  std::uint64_t sessions = 0;  // of the read-only endpoint
};

struct ReadOnlyStatus {
  HostPort access_point;
  std::vector<ReaderStatus> nodes;
  ClusterSessionStats sessions;
};

// One of several pgkeels that serve the same clusters.
struct MemberStatus {
  std::string name;
  std::string address;  // where the others reach it; empty: it has no lease
  std::string version;  // likewise
  bool is_self = false;
  bool leads = false;
  bool has_lease = false;
  bool follows_route = false;           // all its workers have taken the newest route over
  std::vector<std::string> differs_in;  // keys of the configuration that all must have in common
  std::string cannot_decide;            // for this cluster, if it leads, and why; empty: it can, or has not said
};

// How often this pgkeel has handed the leadership over since it started, by the reason.
struct HandOverCounts {
  std::uint64_t ordered = 0;
  std::uint64_t by_sight = 0;  // another one hears from a primary, and this one does not
  std::uint64_t unable = 0;    // it could not decide
  std::uint64_t at_stop = 0;   // it was being ended
};

// Where clients find the leader.
struct VipStatus {
  std::string address;  // as configured
  std::string interface;
  bool is_held = false;  // by this pgkeel
  std::string holder;    // as all agree on; empty: nobody
};

// How they agree, as this one knows it.
struct AgreementStatus {
  std::string leader;  // empty: nobody leads now
  std::uint64_t term = 0;
  bool leads = false;                      // this pgkeel decides
  bool routes = false;                     // it lets clients through
  Duration may_route_for{};                // without another word of etcd or of the other members
  Duration lease_for{};                    // its own lease goes on for so long; zero: it has none
  std::optional<Duration> etcd_heard_ago;  // since etcd confirmed that lease; nothing: it never did
  std::string etcd_problem;                // why it does not; empty: it does
  std::size_t promises_wanted = 0;         // of how many others it takes one to route while etcd is away
  std::size_t promises_held = 0;           // they are asked for then only
  std::optional<VipStatus> vip;
  std::vector<MemberStatus> members;
  HandOverCounts hand_overs;
};

struct ClusterStatus {
  std::string name;
  HostPort access_point;
  std::string condition;  // of condition_name()
  std::string summary;
  std::string phase;
  std::uint64_t epoch = 0;
  std::string route;       // a node's name; empty: nowhere
  std::string durability;  // "strict", "available", "async"
  std::uint32_t safe_standbys_needed =
      0;  // on how many of the safe standbys each acknowledged commit is; 0: nothing is promised
  std::string state_error;
  std::uint64_t failovers = 0;    // since this process started
  Duration last_failover{};       // from the intent to the new route; zero: none yet
  std::uint64_t switchovers = 0;  // likewise
  Duration last_switchover{};     // from the begin of its drain to the new route
  std::vector<ChangeCount> changes;
  std::vector<PhaseDurations> phases;
  std::vector<NodeStatus> nodes;
  std::vector<ActionReport> actions;
  std::optional<Collision> collision;
  std::vector<OperatorOrder> orders;         // oldest first
  std::optional<ReadinessReport> readiness;  // nothing: the first look is not over
  std::vector<LeftSlotStatus> left_slots;
  std::vector<MaintenanceStatus> maintenance;
  std::vector<LostReportStatus> lost_reports;  // oldest first
  std::uint64_t lost_transactions = 0;         // of all reports that this process was the first to tell of
  std::uint64_t lost_wal_bytes = 0;
  std::vector<CertificateStatus> certificates;
  ClusterSessionStats sessions;              // of the write endpoint
  std::optional<ReadOnlyStatus> read_only;   // where there is such an endpoint
  std::uint64_t draining_sessions = 0;       // connections that are left in former processes
  std::optional<AgreementStatus> agreement;  // of several pgkeels
};

// A process that this one took over from, and that some sessions are left in.
struct FormerProcessStatus {
  std::int64_t pid = 0;
  std::uint64_t sessions = 0;
};

// This process, and handovers to and from others.
struct ProcessStatus {
  std::int64_t pid = 0;
  std::string version;
  bool handover_is_under_way = false;  // another process is about to take over
  std::uint64_t handovers_failed = 0;  // since this process started
  std::string last_handover_failure;
  std::vector<FormerProcessStatus> former;
};

}  // namespace pgkeel
