// What one probe said of one node, with the time. Plain data, built by health/probe_query from the server's own
// answers.
#pragma once

#include <cstdint>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "proxy/base/address.h"
#include "proxy/base/lsn.h"
#include "proxy/base/time.h"

namespace pgkeel {

enum class ProbeOutcome {
  kAnswered,    // facts are there
  kRefused,     // connection refused: nobody listens
  kTimedOut,    // no answer within probe_timeout, or the link broke and the new one did not come up
  kStarting,    // 57P03: starting up, shutting down, or in crash recovery
  kAliveOnly,   // the server answers, but not with facts: 53300, wrong password, missing database or privilege
  kOwnTrouble,  // EMFILE, ENOBUFS, no route on our side: says nothing of the node
};

// One row of pg_stat_replication.
struct WalSender {
  std::string application_name;
  std::int32_t pid = 0;
  std::string state;       // startup, catchup, streaming, backup, stopping
  std::string sync_state;  // async, potential, sync, quorum
  Lsn sent, written, flushed, replayed;
  // How long the newest WAL took to come back as written, flushed, replayed; nothing after a while without new WAL.
  std::optional<Duration> write_lag, flush_lag, replay_lag;
};

// One physical row of pg_replication_slots; temporary ones are left out.
struct PhysicalSlot {
  std::string name;
  std::optional<std::int32_t> active_pid;
  Lsn restart_lsn;
  std::string wal_status;  // reserved, extended, unreserved, lost; empty: the slot reserves nothing
};

// One logical row of pg_replication_slots; temporary ones are left out.
struct LogicalSlot {
  std::string name;
  std::string database;
  std::string plugin;
  Lsn confirmed_flush;  // what its consumer has
  bool lost = false;    // invalidated: its consumer cannot go on
  bool synced = false;  // PostgreSQL 17: a standby's copy of a failover slot, which goes on where that one stood
};

// Settings that WAL hands down from a primary to its standbys.
constexpr const char* kLimitsOfStandby[] = {"max_connections", "max_worker_processes", "max_wal_senders",
                                            "max_prepared_transactions", "max_locks_per_transaction"};

// What a node that answered said of itself, all in one query.
struct NodeFacts {
  std::string system_identifier;
  std::uint32_t server_version_number = 0;  // 150020
  bool in_recovery = false;
  Timeline timeline = 0;                       // of a primary: the one it writes; of a standby: the newest it knows of
  Timeline checkpoint_timeline = 0;            // pg_control's; pg_rewind before version 16 believes only this one
  Lsn checkpoint_redo;                         // where its own recovery would begin: it has the WAL from there on
  std::vector<TimelineFork> timeline_history;  // where the earlier timelines ended; empty where it may not be read
  bool timeline_history_known = false;
  Lsn wal_position;  // primary: flushed; standby: the greater of received and replayed
  // Standby: since its start it has not come to the end of the WAL that it had, so that it may have more than
  // `wal_position`. pg_last_wal_receive_lsn() is NULL until recovery asks for streaming for the first time.
  bool replays_own_wal = false;
  Lsn replayed;  // standby only
  bool replay_paused = false;
  Duration recovery_min_apply_delay{};
  bool recovery_target_set = false;  // recovery_target_time, … : recovery ends there, whatever was received beyond it
  // By name, kLimitsOfStandby: a standby that has one lower than its primary stops replaying.
  std::map<std::string, std::uint32_t> limits;
  bool restore_command_set = false;
  std::string synchronous_standby_names;
  std::uint32_t sessions_despite_fence =
      0;  // of clients, where synchronous_standby_names says that it is fenced by SQL
  std::uint32_t backends_waiting_for_standbys = 0;  // with a commit that a synchronous standby has not acknowledged yet
  std::string primary_conninfo;                     // as set; passwords are blanked out
  std::string primary_slot_name;
  // The walreceiver, where one runs.
  bool wal_receiver_streaming = false;
  HostPort wal_receiver_source;                  // the server that it receives from, as it knows it
  Lsn wal_receiver_written;                      // WAL up to here; what of it is past `wal_position` is not flushed
  std::optional<Duration> wal_receiver_silence;  // since its last message from there, by the standby's own clock
  Duration uptime{};                             // since the postmaster's start, by the server's own clock
  std::vector<WalSender> wal_senders;
  std::vector<PhysicalSlot> slots;
  std::vector<LogicalSlot> logical_slots;
  std::uint32_t prepared_transactions =
      0;  // of a primary: prepared for two-phase commit, neither committed nor rolled back
};

struct Observation {
  std::string node;
  Instant started_at;  // when the probe was begun: facts are not older than this
  Instant finished_at;
  ProbeOutcome outcome = ProbeOutcome::kTimedOut;
  std::string detail;                      // the error as the server or the system put it; empty when answered
  std::shared_ptr<const NodeFacts> facts;  // exactly when answered; shared with whoever decides on them
};

}  // namespace pgkeel
