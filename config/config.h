// The configuration as plain values: what pgkeel.toml says, with defaults filled in. Made by config/parse; immutable
// after. Durations have their unit in the type; an empty string means "not given".
#pragma once

#include <chrono>
#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "proxy/base/address.h"
#include "proxy/base/log.h"
#include "proxy/base/time.h"

namespace pgkeel {

using namespace std::chrono_literals;

enum class NoRoutePolicy { kHold, kRefuse };
enum class LogFormat { kText, kJson };
enum class Durability { kStrict, kAvailable, kAsync };
constexpr const char* durability_name(Durability durability) {
  switch (durability) {
    case Durability::kStrict:
      return "strict";
    case Durability::kAvailable:
      return "available";
    case Durability::kAsync:
      return "async";
  }
  return "unknown";
}

enum class ClientTlsMode { kOff, kAllow, kRequire, kVerifyClient };
constexpr const char* client_tls_mode_name(ClientTlsMode mode) {
  switch (mode) {
    case ClientTlsMode::kOff:
      return "off";
    case ClientTlsMode::kAllow:
      return "allow";
    case ClientTlsMode::kRequire:
      return "require";
    case ClientTlsMode::kVerifyClient:
      return "verify-client";
  }
  return "unknown";
}

enum class ServerTlsMode { kDisable, kRequire, kVerifyCa, kVerifyFull };
// As libpq's sslmode has it.
constexpr const char* server_tls_mode_name(ServerTlsMode mode) {
  switch (mode) {
    case ServerTlsMode::kDisable:
      return "disable";
    case ServerTlsMode::kRequire:
      return "require";
    case ServerTlsMode::kVerifyCa:
      return "verify-ca";
    case ServerTlsMode::kVerifyFull:
      return "verify-full";
  }
  return "unknown";
}

enum class FailoverMode { kAutomatic, kManual };
enum class PathCutPolicy { kFailoverIfSafe, kWait };

struct ProxyConfig {
  std::uint32_t workers = 0;  // 0: one per core
  std::uint32_t max_client_connections = 10000;
  Duration login_timeout = 15s;
  Duration hold_timeout = 10s;
  NoRoutePolicy no_route = NoRoutePolicy::kHold;
  std::uint32_t login_rate = 200;  // a second and cluster, after a failover
  Duration restart_drain = 60s;    // for sessions that a restart in place leaves in the old process

  friend bool operator==(const ProxyConfig&, const ProxyConfig&) = default;
};

struct AdminTlsConfig {
  std::string cert;  // empty: plain HTTP
  std::string key;
  std::string ca;  // whom the verbs of the command line believe; empty: `cert` itself alone

  friend bool operator==(const AdminTlsConfig&, const AdminTlsConfig&) = default;
};

struct AdminConfig {
  HostPort listen{"127.0.0.1", 7432};
  std::string token_file = "/etc/pgkeel/admin.token";
  AdminTlsConfig tls;
  bool allow_plain = false;  // without TLS although not on loopback

  friend bool operator==(const AdminConfig&, const AdminConfig&) = default;
};

struct LogConfig {
  LogLevel level = LogLevel::kInfo;
  LogFormat format = LogFormat::kText;

  friend bool operator==(const LogConfig&, const LogConfig&) = default;
};

struct DatabaseUser {
  std::string user;
  std::string database = "postgres";
  std::string password_file;  // its first line is the password

  friend bool operator==(const DatabaseUser&, const DatabaseUser&) = default;
};

struct DetectionConfig {
  Duration interval = 500ms;
  Duration probe_timeout = 1s;
  Duration refused_confirm = 150ms;
  Duration failure_timeout = 3s;
  Duration restart_grace = 2s;
  Duration slow_standby_timeout = 1s;
  PathCutPolicy when_path_cut = PathCutPolicy::kFailoverIfSafe;

  friend bool operator==(const DetectionConfig&, const DetectionConfig&) = default;
};

// What diverged servers alone had is kept, within these bounds; what goes is told as an event.
struct QuarantineConfig {
  Duration max_age = 720h;
  std::uint64_t max_bytes = 0;  // 0: no limit

  friend bool operator==(const QuarantineConfig&, const QuarantineConfig&) = default;
};

// Certificates in PEM files: whom to believe, and who we are.
struct TlsFiles {
  std::string ca;
  std::string cert;
  std::string key;

  friend bool operator==(const TlsFiles&, const TlsFiles&) = default;
};

// Between clients and their access point.
struct ClientTlsConfig {
  ClientTlsMode mode = ClientTlsMode::kOff;
  std::string cert;  // PEM files, as are the others
  std::string key;
  std::string client_ca;  // whose certificate each client must show

  friend bool operator==(const ClientTlsConfig&, const ClientTlsConfig&) = default;
};

// Between pgkeel and the nodes, and from standbys to their primary.
struct ServerTlsConfig {
  ServerTlsMode mode = ServerTlsMode::kDisable;
  std::string ca;  // with mode require it means verify-ca, as in libpq

  friend bool operator==(const ServerTlsConfig&, const ServerTlsConfig&) = default;
};

// An address that the leader of several pgkeels holds.
struct VipConfig {
  std::string address;  // "10.0.0.100/24"; empty: there is none
  std::string interface;

  friend bool operator==(const VipConfig&, const VipConfig&) = default;
};

// How several pgkeels reach each other.
struct PeerConfig {
  HostPort listen{"0.0.0.0", 7434};
  HostPort address;  // where the others reach this one
  TlsFiles tls;

  friend bool operator==(const PeerConfig&, const PeerConfig&) = default;
};

// Several pgkeels that serve the same clusters.
struct CoordinationConfig {
  std::vector<std::string> etcd;  // URLs; empty: this pgkeel is the only one
  TlsFiles tls;                   // towards etcd
  std::string user;               // of etcd; empty: it asks for none
  std::string password_file;
  std::string prefix = "/pgkeel/";
  Duration lease = 4s;  // whole seconds
  std::string name;     // of this pgkeel; empty: the host's
  PeerConfig peer;
  VipConfig vip;

  [[nodiscard]] bool is_given() const { return !etcd.empty(); }

  friend bool operator==(const CoordinationConfig&, const CoordinationConfig&) = default;
};

// A PostgreSQL server on this host that pgkeel starts, stops and rebuilds itself.
struct LocalServerConfig {
  std::string data_directory;
  std::string bin_directory;
  std::string os_user;  // empty: the user that pgkeel runs as

  // The folder for what a diverged server alone had; empty: `pgkeel-quarantine` beside its data directory.
  std::string quarantine = {};
  std::string config_file = {};              // postgresql.conf, or its folder, where it is not in the data directory
  std::vector<std::string> keep_files = {};  // of the data directory's top folder: a rejoin leaves them as they are

  friend bool operator==(const LocalServerConfig&, const LocalServerConfig&) = default;
};

// The agent beside a PostgreSQL server on another host, as pgkeel reaches it.
struct AgentAccessConfig {
  std::string url;  // "https://HOST:PORT"
  TlsFiles tls;

  friend bool operator==(const AgentAccessConfig&, const AgentAccessConfig&) = default;
};

struct NodeConfig {
  std::string name;
  HostPort address{"", 5432};
  std::uint32_t priority = 100;            // 0: never promoted
  std::optional<LocalServerConfig> local;  // never beside `agent`
  std::optional<AgentAccessConfig> agent = {};

  friend bool operator==(const NodeConfig&, const NodeConfig&) = default;
};

struct ClusterConfig {
  std::string name;
  HostPort listen;
  HostPort listen_read_only;  // no host: there is no read-only endpoint
  Duration max_read_lag = 1s;
  std::vector<std::string> allow{"0.0.0.0/0", "::/0"};
  Durability durability = Durability::kAvailable;
  FailoverMode failover = FailoverMode::kAutomatic;
  bool auto_rejoin = true;
  Duration drain_timeout = 5s;
  Duration failover_pause = 10min;
  std::string preferred;  // node to switch back to; empty: none
  DatabaseUser monitor{.user = "pgkeel", .database = "postgres", .password_file = ""};
  DatabaseUser replication{.user = "pgkeel_repl", .database = "postgres", .password_file = ""};
  ClientTlsConfig client_tls;
  ServerTlsConfig server_tls;
  DetectionConfig detection;
  std::vector<NodeConfig> nodes;
  bool tell_client_address = false;

  [[nodiscard]] bool has_read_only_endpoint() const { return !listen_read_only.host.empty(); }

  friend bool operator==(const ClusterConfig&, const ClusterConfig&) = default;
};

struct Config {
  ProxyConfig proxy;
  AdminConfig admin;
  std::string state_directory = "/var/lib/pgkeel";
  CoordinationConfig coordination;
  QuarantineConfig quarantine;
  LogConfig log;
  std::vector<ClusterConfig> clusters;  // in the order of the file

  friend bool operator==(const Config&, const Config&) = default;
};

// `pgkeel agent`, beside one server.
struct AgentConfig {
  HostPort listen{"0.0.0.0", 7433};
  TlsFiles tls;
  LocalServerConfig server;
  std::string quarantine = "/var/lib/pgkeel/quarantine";
  std::string state_directory = "/var/lib/pgkeel/agent";
  Duration fence_timeout = 0s;  // 0: never
};

// What agent.toml says.
struct AgentFile {
  AgentConfig agent;
  QuarantineConfig quarantine;
  LogConfig log;
};

}  // namespace pgkeel
