// What one look at the nodes of a cluster brought, for the readiness rules. Plain data, built by facts_query from the
// servers' own answers and by collect from the host.
#pragma once

#include <cstdint>
#include <map>
#include <optional>
#include <string>
#include <vector>

#include "proxy/base/address.h"
#include "proxy/base/lsn.h"
#include "proxy/base/time.h"
#include "replication/model/host_facts.h"

namespace pgkeel {

// One row of pg_settings.
struct SettingFacts {
  std::string value;
  std::string unit;
  bool pending_restart = false;
};

// ALTER ROLE/DATABASE … SET: one row and element of pg_db_role_setting.
struct RoleSettingFacts {
  std::string role;      // empty: every role
  std::string database;  // empty: every database
  std::string value;
};

// One row of pg_hba_file_rules.
struct HbaLine {
  int line_number = 0;
  std::string type;  // local, host, hostssl, hostnossl, …
  std::vector<std::string> databases;
  std::vector<std::string> users;
  std::string address;  // as in the file, or a numeric one
  std::string netmask;
  std::string method;
  std::string error;  // why PostgreSQL cannot use the line; the rest is then empty
};

struct SlotFacts {
  std::string name;
  bool logical = false;
  std::string database;  // of a logical one
  std::string plugin;
  std::optional<std::int32_t> active_pid;
  std::string wal_status;  // reserved, extended, unreserved, lost
  Lsn restart_lsn;
  std::optional<std::uint64_t> retained_bytes;
  bool failover = false;  // PostgreSQL 17: to be synchronized to standbys
  bool synced = false;    // PostgreSQL 17: a standby's copy of such a one
};

struct SenderFacts {
  std::string application_name;
  std::int32_t pid = 0;
  std::string state;
  std::string client_address;  // numeric
};

// The role that standbys, pg_rewind and pg_basebackup log in as, seen by the monitoring role.
struct ReplicationRoleFacts {
  bool may_log_in = false;
  bool may_replicate = false;
  bool superuser = false;
  bool expired = false;
  bool may_connect = false;                    // to replication.database
  std::vector<std::string> missing_functions;  // that pg_rewind reads with
};

// What the role that asked may do.
struct MonitorRights {
  bool superuser = false;
  bool may_replicate = false;
  std::vector<std::string> missing_roles;
  std::vector<std::string> missing_functions;
  std::vector<std::string> missing_parameters;  // ALTER SYSTEM; PostgreSQL 15 and later
};

struct ServerFacts {
  std::uint32_t version_number = 0;  // 150020
  std::string system_identifier;
  bool in_recovery = false;
  Timeline timeline = 0;
  std::optional<double> clock_ms;  // of the server, since 1970
  Duration clock_ahead{};          // of its clock before ours, at least; negative: it is behind
  std::string asked_from;          // our address as the server sees it; empty: a Unix socket
  std::uint32_t client_connections = 0;
  std::map<std::string, SettingFacts> settings;
  bool settings_are_complete = false;  // pg_read_all_settings
  std::vector<RoleSettingFacts> synchronous_commit;
  std::optional<std::vector<HbaLine>> hba;  // nothing: may not be read
  std::vector<SlotFacts> slots;
  std::vector<SenderFacts> senders;
  std::string upstream_host;  // of the walreceiver, where one streams
  std::uint16_t upstream_port = 0;
  bool replay_paused = false;
  bool archiver_fails = false;  // its last attempt failed
  std::string archiver_failed_file;
  std::optional<std::uint64_t> wal_bytes;       // of pg_wal
  std::optional<std::uint64_t> database_bytes;  // what a rebuild copies; not asked each time
  MonitorRights rights;
  std::optional<ReplicationRoleFacts> replication_role;  // nothing: there is no such role
  std::vector<std::string> missing_files;                // "ssl_key_file: /etc/…": named in settings, and not there
};

// A login that was tried. Empty: it works.
struct LoginFacts {
  bool tried = false;
  std::string sqlstate;
  std::string error;
};

struct AgentFacts {
  bool configured = false;
  std::string error;  // why it was not reached; empty: it was
  std::string version;
  std::optional<WallTime> certificate_ends = {};      // of the agent
  std::optional<WallTime> own_certificate_ends = {};  // of the one that we show it
  WallTime asked_at = {};
};

struct NodeReadinessFacts {
  std::string node;
  HostPort address;
  std::vector<std::string> addresses;  // numeric, as far as the host's name resolves
  std::uint32_t priority = 100;
  bool local = false;
  std::string unreachable;  // why the monitoring role could not ask; empty: `server` is there
  std::string unreachable_sqlstate;
  std::optional<ServerFacts> server;
  LoginFacts replication_login;   // with the replication protocol, from here
  LoginFacts rewind_login;        // to replication.database, from here
  std::optional<HostFacts> host;  // nothing: nobody is there who could look, or he does not answer
  AgentFacts agent;

  [[nodiscard]] const SettingFacts* setting(const std::string& name) const {
    if (!server) return nullptr;
    const auto found = server->settings.find(name);
    return found == server->settings.end() ? nullptr : &found->second;
  }
  // Of a setting that may not be read, the empty text.
  [[nodiscard]] std::string value(const std::string& name) const {
    const SettingFacts* found = setting(name);
    return found == nullptr ? "" : found->value;
  }
  // As a number: sizes in bytes, times in milliseconds. Nothing: not known, or no number.
  [[nodiscard]] std::optional<std::int64_t> number(const std::string& name) const;
};

}  // namespace pgkeel
