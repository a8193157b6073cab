#include "config/schema.h"

#include <algorithm>

#include "config/schema_rows.h"

namespace pgkeel {
namespace {

using namespace schema_rows;

const Table& proxy_table() {
  static const Table rows = table_of<ProxyConfig>({
      needs_restart(per_host(integer<&ProxyConfig::workers>(
          "workers", 0, 1024, "worker threads, each with its own loop; 0: one per core"))),
      per_host(integer<&ProxyConfig::max_client_connections>("max_client_connections", 1, 1'000'000, "more get 53300")),
      for_new_connections(duration<&ProxyConfig::login_timeout>("login_timeout", 100ms, 10min,
                                                                "startup and authentication must be over by then")),
      for_new_connections(duration<&ProxyConfig::hold_timeout>(
          "hold_timeout", 0s, 1h, "how long a client waits for a route before it gets 08001")),
      choice<&ProxyConfig::no_route>("no_route", {"hold", "refuse"},
                                     "refuse: close the listener while there is no route, so that drivers try "
                                     "their next host"),
      integer<&ProxyConfig::login_rate>("login_rate", 1, 1'000'000,
                                        "new server logins a second and cluster after a failover; the rest wait"),
      duration<&ProxyConfig::restart_drain>("restart_drain", 0s, 24h,
                                            "what a restart in place leaves in the old process (sessions in TLS) must "
                                            "have ended by then; SIGTERM gives open "
                                            "transactions as long, 10s at most"),
  });
  return rows;
}

const Table& admin_tls_table() {
  static const Table rows = table_of<AdminTlsConfig>({
      for_new_connections(text<&AdminTlsConfig::cert>(
          "cert", "certificate of console, API and metrics; empty: plain HTTP", complain_of_path)),
      for_new_connections(text<&AdminTlsConfig::key>("key", "its private key", complain_of_path)),
      text<&AdminTlsConfig::ca>(
          "ca", "authority that the verbs of the command line believe; empty: just the certificate in `cert`",
          complain_of_path),
  });
  return rows;
}

const Table& admin_table() {
  static const Table rows = table_of<AdminConfig>({
      needs_restart(host_port<&AdminConfig::listen>("listen", "console, API, metrics; port 0: any free one")),
      needs_restart(not_empty(text<&AdminConfig::token_file>(
          "token_file", "bearer token for whatever changes state; made at random, mode 0600, when absent",
          complain_of_path))),
      written_inline(
          table<&AdminConfig::tls>("tls", admin_tls_table(), "TLS 1.2 or newer; without it `listen` must be loopback")),
      boolean<&AdminConfig::allow_plain>(
          "allow_plain", "true: plain HTTP although `listen` is not loopback; the bearer token can be read on the way"),
  });
  return rows;
}

const Table& state_table() {
  static const Table rows = table_of<Config>({
      needs_restart(not_empty(text<&Config::state_directory>(
          "directory", "epoch, route, events; must outlive a restart of the host", complain_of_path))),
  });
  return rows;
}

const Table& quarantine_table() {
  static const Table rows = table_of<QuarantineConfig>({
      duration<&QuarantineConfig::max_age>("max_age", 1h, 36500 * 24h,
                                           "data that is older is removed, with an event; its report stays"),
      integer<&QuarantineConfig::max_bytes>("max_bytes", 0, std::numeric_limits<std::int64_t>::max(),
                                            "of each node, the oldest go first and the newest stays; 0: no limit"),
  });
  return rows;
}

const Table& vip_table() {
  static const Table rows = table_of<VipConfig>({
      needs_restart(required(text<&VipConfig::address>("address", "the address, with its network's prefix length",
                                                       complain_of_interface_address),
                             R"("10.0.0.100/24")")),
      needs_restart(per_host(required(
          text<&VipConfig::interface>("interface", "the network interface that gets it", complain_of_interface_name),
          R"("eth0")"))),
  });
  return rows;
}

const Table& peer_table() {
  static const Table rows = table_of<PeerConfig>({
      needs_restart(host_port<&PeerConfig::listen>("listen", "where the other pgkeels reach this one")),
      needs_restart(required(host_port<&PeerConfig::address>(
                                 "address", "the same, as the others write it; its certificate bears the host"),
                             R"("10.0.0.1:7434")")),
      needs_restart(
          required(text<&PeerConfig::tls, &TlsFiles::ca>("ca", "CA of the pgkeels' certificates", complain_of_path),
                   R"("/etc/pgkeel/ca.crt")")),
      needs_restart(required(
          text<&PeerConfig::tls, &TlsFiles::cert>(
              "cert", "certificate of this pgkeel, made by `pgkeel keygen --out DIR --proxy HOST`", complain_of_path),
          R"("/etc/pgkeel/proxy.crt")")),
      needs_restart(required(text<&PeerConfig::tls, &TlsFiles::key>("key", "its private key", complain_of_path),
                             R"("/etc/pgkeel/proxy.key")")),
  });
  return rows;
}

const Table& etcd_tls_table() {
  static const Table rows = table_of<TlsFiles>({
      needs_restart(text<&TlsFiles::ca>("ca", "CA of etcd's certificates; empty: the system's", complain_of_path)),
      needs_restart(text<&TlsFiles::cert>(
          "cert", "certificate that etcd sees, without a CommonName where it also asks for passwords; empty: none",
          complain_of_path)),
      needs_restart(text<&TlsFiles::key>("key", "its private key", complain_of_path)),
  });
  return rows;
}

const Table& coordination_table() {
  static const Table rows = table_of<CoordinationConfig>({
      needs_restart(per_host(required(
          texts<&CoordinationConfig::etcd>("etcd", "URLs of etcd's members (3.4 or later)", complain_of_etcd_url),
          R"(["http://10.0.0.11:2379", "http://10.0.0.12:2379", "http://10.0.0.13:2379"])"))),
      needs_restart(per_host(text<&CoordinationConfig::user>("user", "of etcd; empty: it asks for none"))),
      needs_restart(per_host(text<&CoordinationConfig::password_file>("password_file", "its first line is the password",
                                                                      complain_of_path))),
      needs_restart(not_empty(
          text<&CoordinationConfig::prefix>("prefix", "of every key in etcd; ends with /", complain_of_key_prefix))),
      needs_restart(duration<&CoordinationConfig::lease>(
          "lease", 2s, 1min, "whole seconds; a pgkeel that cannot renew it stops routing before it ends")),
      needs_restart(per_host(text<&CoordinationConfig::name>(
          "name", "of this pgkeel, unlike all others'; empty: the host's name", complain_of_member_name))),
      written_inline(per_host(table<&CoordinationConfig::tls>("tls", etcd_tls_table(), "towards etcd"))),
      required(written_inline(per_host(
                   table<&CoordinationConfig::peer>("peer", peer_table(), "how the pgkeels reach each other"))),
               {}),
      written_inline(
          table<&CoordinationConfig::vip>("vip", vip_table(), "held by the leader; or leave it to a load balancer")),
  });
  return rows;
}

const Table& log_table() {
  static const Table rows = table_of<LogConfig>({
      choice<&LogConfig::level>("level", {"debug", "info", "warning", "error"}, "what is below it is left out"),
      choice<&LogConfig::format>("format", {"text", "json"}, ""),
  });
  return rows;
}

const Table& monitor_table() {
  static const Table rows = table_of<DatabaseUser>({
      not_empty(text<&DatabaseUser::user>("user", "role that pgkeel looks at the nodes with")),
      not_empty(text<&DatabaseUser::database>("database", "database that it connects to")),
      per_host(text<&DatabaseUser::password_file>(
          "password_file", "its first line is the password; empty: none is sent", complain_of_path)),
  });
  return rows;
}

const Table& replication_table() {
  static const Table rows = table_of<DatabaseUser>({
      not_empty(text<&DatabaseUser::user>("user", "role that standbys stream, and rebuilds copy, with")),
      per_host(text<&DatabaseUser::password_file>(
          "password_file", "its first line is the password; empty: none is sent", complain_of_path)),
  });
  return rows;
}

const Table& client_tls_table() {
  static const Table rows = table_of<ClientTlsConfig>({
      for_new_connections(choice<&ClientTlsConfig::mode>(
          "mode", {"off", "allow", "require", "verify-client"},
          "allow: both kinds of connections; require: encrypted ones only; verify-client: "
          "these, with a certificate of client_ca")),
      for_new_connections(per_host(
          text<&ClientTlsConfig::cert>("cert", "certificate that clients see, and its chain", complain_of_path))),
      for_new_connections(
          per_host(text<&ClientTlsConfig::key>("key", "its private key, without a passphrase", complain_of_path))),
      for_new_connections(per_host(
          text<&ClientTlsConfig::client_ca>("client_ca", "CA of the clients' certificates", complain_of_path))),
  });
  return rows;
}

const Table& server_tls_table() {
  static const Table rows = table_of<ServerTlsConfig>({
      for_new_connections(
          choice<&ServerTlsConfig::mode>("mode", {"disable", "require", "verify-ca", "verify-full"},
                                         "as libpq's sslmode; also for probes, and for standbys that stream")),
      for_new_connections(
          per_host(text<&ServerTlsConfig::ca>("ca", "CA of the servers' certificates", complain_of_path))),
  });
  return rows;
}

const Table& detection_table() {
  static const Table rows = table_of<DetectionConfig>({
      duration<&DetectionConfig::interval>("interval", 10ms, 1min, "between probes of a node"),
      duration<&DetectionConfig::probe_timeout>("probe_timeout", 10ms, 1min, "a probe without an answer has failed"),
      duration<&DetectionConfig::refused_confirm>("refused_confirm", 0s, 1min,
                                                  "refused, and refused again after this: the postmaster is gone"),
      duration<&DetectionConfig::failure_timeout>("failure_timeout", 50ms, 1h,
                                                  "no answer at all for this long: failed"),
      duration<&DetectionConfig::restart_grace>("restart_grace", 0s, 1h,
                                                "a server that says that it is starting gets this long"),
      duration<&DetectionConfig::slow_standby_timeout>(
          "slow_standby_timeout", 100ms, 1h,
          "durability = available: commits wait so long for a standby whose disk stands still"),
      choice<&DetectionConfig::when_path_cut>("when_path_cut", {"failover-if-safe", "wait"},
                                              "primary unreachable from here, but alive to its standby"),
  });
  return rows;
}

const Table& local_table() {
  static const Table rows = table_of<LocalServerConfig>({
      required(text<&LocalServerConfig::data_directory>("data_directory", "of the server", complain_of_path),
               R"("/var/lib/postgresql/15/a")", R"("/var/lib/postgresql/15/b")"),
      required(
          text<&LocalServerConfig::bin_directory>("bin_directory", "where pg_ctl and pg_rewind are", complain_of_path),
          R"("/usr/lib/postgresql/15/bin")", R"("/usr/lib/postgresql/15/bin")"),
      shown_as(text<&LocalServerConfig::os_user>("os_user", "user that the server runs as; empty: pgkeel's own",
                                                 complain_of_user_name),
               R"("postgres")", R"("postgres")"),
      shown_as(text<&LocalServerConfig::quarantine>(
                   "quarantine",
                   "folder for what a diverged server alone had; empty: pgkeel-quarantine beside its data directory",
                   complain_of_path),
               R"("")", R"("")"),
  });
  return rows;
}

const Table& agent_access_table() {
  static const Table rows = table_of<AgentAccessConfig>({
      required(text<&AgentAccessConfig::url>("url", "of the node's agent", complain_of_https_url),
               R"("https://10.0.0.1:7433")"),
      required(text<&AgentAccessConfig::tls, &TlsFiles::ca>("ca", "CA of the agents' certificates", complain_of_path),
               R"("/etc/pgkeel/ca.crt")"),
      required(text<&AgentAccessConfig::tls, &TlsFiles::cert>("cert", "certificate that the agent sees: a proxy's",
                                                              complain_of_path),
               R"("/etc/pgkeel/proxy.crt")"),
      required(text<&AgentAccessConfig::tls, &TlsFiles::key>("key", "its private key", complain_of_path),
               R"("/etc/pgkeel/proxy.key")"),
  });
  return rows;
}

const Table& node_table() {
  static const Table rows = table_of<NodeConfig>({
      required(
          text<&NodeConfig::name>("name", "[a-z][a-z0-9_]{0,55}: also its application_name and part of its slot's name",
                                  complain_of_node_name),
          R"("a")", R"("b")"),
      required(text<&NodeConfig::address, &HostPort::host>("host", "name or address; or the folder of its Unix socket",
                                                           complain_of_host),
               R"("127.0.0.1")", R"("127.0.0.1")"),
      shown_as(integer<&NodeConfig::address, &HostPort::port>("port", 1, 65535, ""), "5433", "5434"),
      integer<&NodeConfig::priority>("priority", 0, 1'000'000,
                                     "the higher of two equally safe standbys is promoted; 0: never"),
      written_inline(per_host(table<&NodeConfig::local>(
          "local", local_table(), "a server on this host, which pgkeel starts, stops and rebuilds itself"))),
      shown_commented_out(written_inline(per_host(table<&NodeConfig::agent>(
          "agent", agent_access_table(), "instead of `local`: pgkeel's agent beside a server on another host")))),
  });
  return rows;
}

const Table& cluster_table() {
  static const Table rows = table_of<ClusterConfig>({
      per_host(required(host_port<&ClusterConfig::listen>("listen", "the client access point: always the primary"),
                        R"("0.0.0.0:5432")")),
      per_host(optional_host_port<&ClusterConfig::listen_read_only>(
          "listen_read_only", "the read-only endpoint: a standby within max_read_lag, else the primary; empty: none")),
      duration<&ClusterConfig::max_read_lag>("max_read_lag", 0s, 24h,
                                             "what is further behind gets no new sessions of the read-only endpoint"),
      for_new_connections(networks<&ClusterConfig::allow>("allow", "client networks; others get 28000")),
      choice<&ClusterConfig::durability>(
          "durability", {"strict", "available", "async"},
          "strict: commits wait for a safe standby, always. available: while there is one. async: never"),
      choice<&ClusterConfig::failover>("failover", {"automatic", "manual"}, ""),
      for_new_connections(boolean<&ClusterConfig::tell_client_address>(
          "tell_client_address", "servers see \"NAME - ADDRESS\" as a client's application_name, not only NAME")),
      boolean<&ClusterConfig::auto_rejoin>("auto_rejoin", "rebuild a returned old primary without asking"),
      duration<&ClusterConfig::drain_timeout>(
          "drain_timeout", 0s, 1h, "switchover, stop: how long open transactions may finish before they get 57P01"),
      duration<&ClusterConfig::failover_pause>(
          "failover_pause", 0s, 168h,
          "after an automatic failover, the next one inside this time needs an operator; 0s: no limit"),
      text<&ClusterConfig::preferred>("preferred",
                                      "node to switch back to when all has been well for failover_pause; empty: stay"),
      written_inline(table<&ClusterConfig::monitor>("monitor", monitor_table(), "how pgkeel looks at the nodes")),
      written_inline(
          table<&ClusterConfig::replication>("replication", replication_table(), "how standbys reach the primary")),
      written_inline(table<&ClusterConfig::client_tls>("client_tls", client_tls_table(), "between clients and pgkeel")),
      written_inline(
          table<&ClusterConfig::server_tls>("server_tls", server_tls_table(), "between pgkeel and the nodes")),
      table<&ClusterConfig::detection>("detection", detection_table(), "when a node counts as failed"),
      tables<&ClusterConfig::nodes>("node", KeyType::kTableArray, node_table(), "one PostgreSQL server"),
  });
  return rows;
}

const Table& agent_tls_table() {
  static const Table rows = table_of<TlsFiles>({
      required(text<&TlsFiles::ca>("ca", "CA of the proxies' certificates", complain_of_path),
               R"("/etc/pgkeel/ca.crt")"),
      required(text<&TlsFiles::cert>("cert", "this agent's certificate", complain_of_path),
               R"("/etc/pgkeel/agent.crt")"),
      required(text<&TlsFiles::key>("key", "its private key", complain_of_path), R"("/etc/pgkeel/agent.key")"),
  });
  return rows;
}

const Table& agent_table() {
  static const Table rows = table_of<AgentConfig>({
      host_port<&AgentConfig::listen>("listen", "where pgkeel reaches this agent"),
      required(written_inline(table<&AgentConfig::tls>("tls", agent_tls_table(), "made by `pgkeel keygen`")), {}),
      required(text<&AgentConfig::server, &LocalServerConfig::data_directory>("data_directory", "of the server",
                                                                              complain_of_path),
               R"("/var/lib/postgresql/15/main")"),
      required(text<&AgentConfig::server, &LocalServerConfig::bin_directory>(
                   "bin_directory", "where pg_ctl and pg_rewind are", complain_of_path),
               R"("/usr/lib/postgresql/15/bin")"),
      text<&AgentConfig::server, &LocalServerConfig::os_user>(
          "os_user", "user that the server runs as; empty: the agent's own, or postgres where that is root",
          complain_of_user_name),
      text<&AgentConfig::server, &LocalServerConfig::config_file>(
          "config_file",
          "postgresql.conf, or its folder, where it is not in the data directory (Debian: /etc/postgresql/15/main)",
          complain_of_path),
      not_empty(
          text<&AgentConfig::quarantine>("quarantine", "keeps what a diverged server alone had", complain_of_path)),
      shown_as(texts<&AgentConfig::server, &LocalServerConfig::keep_files>(
                   "keep_files",
                   "what a rebuild carries over of the data directory's top folder, beside configuration, keys and "
                   "certificates",
                   complain_of_file_name),
               "[]"),
      not_empty(text<&AgentConfig::state_directory>("state_directory", "the agent's own records", complain_of_path)),
      duration<&AgentConfig::fence_timeout>(
          "fence_timeout", 0s, 24h,
          "not 0s: stop PostgreSQL where no pgkeel was heard for this long while it is a primary"),
  });
  return rows;
}

}  // namespace

const Key* Table::find(std::string_view name) const {
  const auto found = std::ranges::find(keys, name, &Key::name);
  return found == keys.end() ? nullptr : &*found;
}

const Table& config_schema() {
  static const Table rows = table_of<Config>({
      table<&Config::proxy>("proxy", proxy_table(), "the data path"),
      per_host(table<&Config::admin>("admin", admin_table(), "the admin endpoint")),
      per_host(table_of_owner<Config>("state", state_table(), "what must outlive a restart")),
      shown_commented_out(table<&Config::coordination>("coordination", coordination_table(),
                                                       "several pgkeels that serve the same clusters")),
      per_host(table<&Config::quarantine>("quarantine", quarantine_table(),
                                          "what diverged servers on this host alone had: `pgkeel lost` shows it")),
      per_host(table<&Config::log>("log", log_table(), "the log, on stderr")),
      tables<&Config::clusters>("cluster", KeyType::kTablesByName, cluster_table(),
                                "a primary, its standbys and their access point; once for each cluster"),
  });
  return rows;
}

const Table& agent_schema() {
  static const Table rows = table_of<AgentFile>({
      required(table<&AgentFile::agent>("agent", agent_table(), "the agent of one PostgreSQL server"), {}),
      table<&AgentFile::quarantine>("quarantine", quarantine_table(),
                                    "how long what is in the quarantine is kept: `pgkeel lost` shows it"),
      table<&AgentFile::log>("log", log_table(), "the log, on stderr"),
  });
  return rows;
}

}  // namespace pgkeel
