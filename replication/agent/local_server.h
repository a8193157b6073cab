// A PostgreSQL server on this host, handled through its data directory and its programs: looked at, started, fenced,
// rewound and rebuilt. Every call blocks, some for hours: they belong on a job thread (replication/execute), never on a
// loop. Programs run as os_user, without a shell. Nothing here decides; the callers are the decision core's actions
// and, later, the agent's API.
#pragma once

#include <cstdint>
#include <functional>
#include <optional>
#include <string>
#include <vector>

#include "config/config.h"
#include "proxy/base/lsn.h"
#include "proxy/base/result.h"
#include "proxy/base/time.h"

namespace pgkeel {

// What pg_controldata says of a data directory.
struct ControlData {
  std::string system_identifier;
  std::string cluster_state;  // "in production", "shut down", "shut down in recovery", "in archive recovery", …
  Timeline checkpoint_timeline = 0;
  Lsn checkpoint;  // of a cleanly stopped server: the begin of its shutdown checkpoint record
  Lsn checkpoint_redo;
  Lsn min_recovery_end;
  Timeline min_recovery_timeline = 0;
  bool wal_log_hints = false;
  bool data_checksums = false;

  [[nodiscard]] bool shut_down_cleanly() const {
    return cluster_state == "shut down" || cluster_state == "shut down in recovery";
  }
};

struct LocalServerState {
  std::optional<std::int32_t> postmaster_pid;  // alive, and its working folder is the data directory
  std::vector<std::int32_t> other_pids;        // other processes of this server: backends, walsenders, orphans
  bool has_standby_signal = false;
  bool data_directory_exists = false;

  // The design's "proven stopped": no postmaster and no child of it left.
  [[nodiscard]] bool proven_stopped() const { return !postmaster_pid && other_pids.empty(); }
};

// Where a standby streams from, and as whom.
struct UpstreamServer {
  std::string node;
  HostPort address;
  DatabaseUser replication;                    // password_file: see config
  Timeline timeline = 0;                       // the one that it writes
  std::vector<TimelineFork> timeline_history;  // of the upstream
};

struct RejoinReport {
  std::string method;       // "start", "rewind", "basebackup"
  std::string quarantine;   // folder of the copy that was set aside; empty: the node held nothing of its own
  std::string moved_aside;  // folder that a rebuild replaced; empty: none
};

class LocalServer {
 public:
  // `node` is the node's name: its application_name, and `pgkeel_<node>` its slot. `quarantine_directory` empty: beside
  // the data directory (same file system, so that a copy can share blocks).
  LocalServer(std::string node, std::uint16_t port, LocalServerConfig settings, std::string quarantine_directory = "");

  [[nodiscard]] LocalServerState look() const;
  [[nodiscard]] Result<ControlData> control_data() const;

  // Starts the server with pg_ctl and returns when it accepts connections (of a standby: is in hot standby), fails, or
  // `limit` is over. Already running: done.
  Result<void> start(Duration limit) const;

  // Ends the postmaster and every other process of the server at once (SIGQUIT, then SIGKILL; a stopped process too),
  // and returns when none is left: proven stopped. Its WAL is as after a crash.
  Result<void> fence(Duration limit) const;

  // Makes the stopped server a streaming standby of `upstream`, and starts it. What it alone has is set aside first
  // (rule 4):
  //   its WAL ends at or before the fork        -> start as a standby
  //   else copy to quarantine, then pg_rewind   -> start as a standby
  //   rewind impossible, failed or cut off      -> move the data directory aside, pg_basebackup
  // A rewind or backup that was cut off leaves a marker beside the data directory, and such a directory is never
  // started. `progress` is told each step as one line. On an error the node stays stopped, and the message says what to
  // mend.
  Result<RejoinReport> rejoin(const UpstreamServer& upstream,
                              const std::function<void(const std::string&)>& progress) const;

 private:
  std::string node_;
  std::uint16_t port_;
  LocalServerConfig settings_;
  std::string quarantine_directory_;
};

}  // namespace pgkeel
