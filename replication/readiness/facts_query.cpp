#include "replication/readiness/facts_query.h"

#include <charconv>

#include <nlohmann/json.hpp>

#include "proxy/base/lenient_json.h"
#include "proxy/base/sql_quote.h"
#include "replication/readiness/postgres_versions.h"

namespace pgkeel {
namespace {

using nlohmann::json;
using namespace lenient_json;

const std::vector<std::string> kSettings = {"archive_command",
                                            "archive_library",
                                            "archive_mode",
                                            "allow_alter_system",
                                            "block_size",
                                            "config_file",
                                            "data_checksums",
                                            "data_directory",
                                            "fsync",
                                            "full_page_writes",
                                            "hba_file",
                                            "hot_standby",
                                            "hot_standby_feedback",
                                            "ident_file",
                                            "listen_addresses",
                                            "max_connections",
                                            "max_locks_per_transaction",
                                            "max_prepared_transactions",
                                            "max_replication_slots",
                                            "max_slot_wal_keep_size",
                                            "max_wal_senders",
                                            "max_wal_size",
                                            "max_worker_processes",
                                            "primary_conninfo",
                                            "primary_slot_name",
                                            "recovery_min_apply_delay",
                                            "recovery_target",
                                            "recovery_target_action",
                                            "recovery_target_lsn",
                                            "recovery_target_name",
                                            "recovery_target_time",
                                            "recovery_target_timeline",
                                            "recovery_target_xid",
                                            "restart_after_crash",
                                            "restore_command",
                                            "shared_preload_libraries",
                                            "ssl",
                                            "ssl_ca_file",
                                            "ssl_cert_file",
                                            "ssl_crl_file",
                                            "ssl_key_file",
                                            "sync_replication_slots",
                                            "synchronized_standby_slots",
                                            "synchronous_commit",
                                            "synchronous_standby_names",
                                            "track_commit_timestamp",
                                            "wal_keep_size",
                                            "wal_level",
                                            "wal_log_hints",
                                            "wal_receiver_timeout",
                                            "wal_sender_timeout"};

std::string array_of(const std::vector<std::string>& texts) {
  std::string array;
  for (const auto& text : texts) array += (array.empty() ? "ARRAY[" : ",") + quote_literal(text);
  return array + "]";
}

// $…$ stand for what depends on the version, the rights and the configuration. search_path is pg_catalog.
constexpr std::string_view kQuery = R"sql(
SELECT json_build_object(
'version', current_setting('server_version_num'),
'system_identifier', (SELECT system_identifier::text FROM pg_control_system()),
'in_recovery', pg_is_in_recovery(),
'timeline', (SELECT timeline_id FROM pg_control_checkpoint()),
'clock_ms', extract(epoch FROM clock_timestamp()) * 1000,
'asked_from', host(inet_client_addr()),
'client_connections', (SELECT count(*) FROM pg_stat_activity WHERE backend_type = 'client backend'),
'settings', (SELECT json_object_agg(name, json_build_object('value', setting, 'unit', unit, 'pending', pending_restart))
  FROM pg_settings WHERE name = ANY ($settings$)),
'all_settings', pg_has_role('pg_read_all_settings', 'USAGE'),
'synchronous_commit', (SELECT json_agg(json_build_object('role', rolname, 'database', datname, 'value', substr(line, 20)))
  FROM pg_db_role_setting s LEFT JOIN pg_roles r ON r.oid = setrole LEFT JOIN pg_database d ON d.oid = setdatabase,
  unnest(setconfig) line WHERE line LIKE 'synchronous_commit=%'),
'slots', (SELECT json_agg(json_build_object('name', slot_name, 'type', slot_type, 'database', database, 'plugin', plugin,
  'active_pid', active_pid, 'wal_status', wal_status, 'restart', restart_lsn, 'retained', (CASE WHEN pg_is_in_recovery()
    THEN greatest(pg_last_wal_receive_lsn(), pg_last_wal_replay_lsn()) ELSE pg_current_wal_lsn() END) - restart_lsn
  $slot_columns$)) FROM pg_replication_slots WHERE NOT temporary),
'senders', (SELECT json_agg(json_build_object('name', application_name, 'pid', pid, 'state', state,
  'address', host(client_addr))) FROM pg_stat_replication),
'receiver', (SELECT json_build_object('host', sender_host, 'port', sender_port) FROM pg_stat_wal_receiver
  WHERE status = 'streaming'),
'replay_paused', CASE WHEN pg_is_in_recovery() THEN pg_is_wal_replay_paused() END,
'archiver', (SELECT json_build_object('file', last_failed_wal, 'fails', last_failed_time IS NOT NULL AND
  (last_archived_time IS NULL OR last_failed_time > last_archived_time)) FROM pg_stat_archiver),
'wal_bytes', $wal_bytes$,
'hba', $hba$,
'rights', (SELECT json_build_object('superuser', rolsuper, 'replication', rolreplication,
  'roles', (SELECT json_agg(name) FROM unnest($roles$) name WHERE NOT pg_has_role(name, 'USAGE')),
  'functions', (SELECT json_agg(name) FROM unnest($functions$) name WHERE NOT has_function_privilege(name, 'EXECUTE')),
  'parameters', $parameters$) FROM pg_roles WHERE rolname = current_user),
'replication_role', (SELECT json_build_object('login', rolcanlogin, 'replication', rolreplication,
  'superuser', rolsuper, 'expired', coalesce(rolvaliduntil <= clock_timestamp(), false),
  'functions', (SELECT json_agg(name) FROM unnest($rewind_functions$) name
    WHERE NOT has_function_privilege(r.oid, name, 'EXECUTE')),
  'connect', (SELECT has_database_privilege(r.oid, d.oid, 'CONNECT') FROM pg_database d WHERE datname = $database$))
  FROM pg_roles r WHERE rolname = $role$)
)::text)sql";

// Rows with an error have no rule number.
constexpr std::string_view kHba = R"sql((SELECT json_agg(json_build_object('line', line_number, 'type', type,
  'databases', database, 'users', user_name, 'address', address, 'netmask', netmask, 'method', auth_method,
  'error', error) ORDER BY $order$) FROM pg_hba_file_rules))sql";

void replace(std::string& text, std::string_view placeholder, const std::string& with) {
  text.replace(text.find(placeholder), placeholder.size(), with);
}

SlotFacts slot_of(const json& row) {
  SlotFacts slot;
  slot.name = text_of(row, "name");
  slot.logical = text_of(row, "type") == "logical";
  slot.database = text_of(row, "database");
  slot.plugin = text_of(row, "plugin");
  slot.active_pid = whole_of<std::int32_t>(row, "active_pid");
  slot.wal_status = text_of(row, "wal_status");
  slot.restart_lsn = lsn_of(row, "restart");
  slot.retained_bytes = whole_of<std::uint64_t>(row, "retained");
  slot.failover = flag_of(row, "failover");
  slot.synced = flag_of(row, "synced");
  return slot;
}

HbaLine hba_line_of(const json& row) {
  return {.line_number = whole_of<int>(row, "line").value_or(0),
          .type = text_of(row, "type"),
          .databases = texts_of(row, "databases"),
          .users = texts_of(row, "users"),
          .address = text_of(row, "address"),
          .netmask = text_of(row, "netmask"),
          .method = text_of(row, "method"),
          .error = text_of(row, "error")};
}

MonitorRights monitor_rights_of(const json& object) {
  return {.superuser = flag_of(object, "superuser"),
          .may_replicate = flag_of(object, "replication") || flag_of(object, "superuser"),
          .missing_roles = texts_of(object, "roles"),
          .missing_functions = texts_of(object, "functions"),
          .missing_parameters = texts_of(object, "parameters")};
}

std::optional<std::uint32_t> version_of(const json& root) {
  const std::string text = text_of(root, "version");
  std::uint32_t version = 0;
  const auto [end, code] = std::from_chars(text.data(), text.data() + text.size(), version);
  if (code != std::errc{} || end != text.data() + text.size()) return std::nullopt;
  return version;
}

}  // namespace

const std::vector<std::string> kMonitorFunctions = {"pg_promote(boolean, integer)", "pg_reload_conf()",
                                                    "pg_ls_waldir()", "pg_read_file(text, bigint, bigint, boolean)"};

const std::vector<std::string> kRewindFunctions = {"pg_ls_dir(text, boolean, boolean)", "pg_stat_file(text, boolean)",
                                                   "pg_read_binary_file(text)",
                                                   "pg_read_binary_file(text, bigint, bigint, boolean)"};

const std::vector<std::string> kManagedParameters = {"synchronous_standby_names", "primary_conninfo",
                                                     "primary_slot_name"};

const std::vector<std::string> kFileSettings = {"config_file",  "hba_file",    "ident_file",  "ssl_cert_file",
                                                "ssl_key_file", "ssl_ca_file", "ssl_crl_file"};

std::string rights_query_text() {
  return "SELECT json_build_object('version', current_setting('server_version_num'), "
         "'read_hba', has_function_privilege('pg_hba_file_rules()', 'EXECUTE') AND "
         "has_table_privilege('pg_hba_file_rules', 'SELECT'), "
         "'list_wal', has_function_privilege('pg_ls_waldir()', 'EXECUTE'), "
         "'stat_files', has_function_privilege('pg_stat_file(text, boolean)', 'EXECUTE') AND "
         "pg_has_role('pg_read_server_files', 'USAGE'))::text";
}

Result<AskerRights> parse_rights(std::string_view json_text) {
  const auto root = json::parse(json_text, nullptr, false);
  const auto version = version_of(root);
  if (!version) return Error{"the answer cannot be read"};
  return AskerRights{.version_number = *version,
                     .read_hba = flag_of(root, "read_hba"),
                     .list_wal = flag_of(root, "list_wal"),
                     .stat_files = flag_of(root, "stat_files")};
}

std::string facts_query_text(const AskerRights& rights, const ClusterConfig& cluster) {
  const bool has_parameters = rights.version_number >= kPostgres15;
  std::string hba = "NULL";
  if (rights.read_hba) {
    hba = kHba;
    replace(hba, "$order$", rights.version_number >= kPostgres16 ? "rule_number, line_number" : "line_number");
  }
  std::vector<std::string> roles = {"pg_monitor", "pg_signal_backend"};
  if (has_parameters) roles.emplace_back("pg_checkpoint");

  std::string text(kQuery);
  replace(text, "$settings$", array_of(kSettings));
  replace(text, "$slot_columns$",
          rights.version_number >= kPostgres17 ? ", 'failover', failover, 'synced', synced" : "");
  replace(text, "$wal_bytes$", rights.list_wal ? "(SELECT sum(size) FROM pg_ls_waldir())" : "NULL");
  replace(text, "$hba$", hba);
  replace(text, "$roles$", array_of(roles));
  replace(text, "$functions$", array_of(kMonitorFunctions));
  replace(text, "$parameters$",
          has_parameters ? "(SELECT json_agg(name) FROM unnest(" + array_of(kManagedParameters) +
                               ") name WHERE NOT has_parameter_privilege(name, 'ALTER SYSTEM'))"
                         : "NULL");
  replace(text, "$rewind_functions$", array_of(kRewindFunctions));
  replace(text, "$database$", quote_literal(cluster.replication.database));
  replace(text, "$role$", quote_literal(cluster.replication.user));
  return text;
}

Result<ServerFacts> parse_server_facts(std::string_view json_text) {
  const auto root = json::parse(json_text, nullptr, false);
  const auto version = version_of(root);
  ServerFacts facts;
  facts.system_identifier = text_of(root, "system_identifier");
  if (!version || facts.system_identifier.empty() || !member(root, "in_recovery").is_boolean())
    return Error{"the answer cannot be read"};
  facts.version_number = *version;
  facts.in_recovery = flag_of(root, "in_recovery");
  facts.timeline = whole_of<Timeline>(root, "timeline").value_or(0);
  facts.clock_ms = number_of(root, "clock_ms");
  facts.asked_from = text_of(root, "asked_from");
  facts.client_connections = whole_of<std::uint32_t>(root, "client_connections").value_or(0);
  const json& settings = member(root, "settings");
  if (settings.is_object()) {
    for (const auto& [name, row] : settings.items())
      facts.settings[name] = {text_of(row, "value"), text_of(row, "unit"), flag_of(row, "pending")};
  }
  facts.settings_are_complete = flag_of(root, "all_settings");
  for (const json& row : member(root, "synchronous_commit"))
    facts.synchronous_commit.push_back({text_of(row, "role"), text_of(row, "database"), text_of(row, "value")});
  if (const json& hba = member(root, "hba"); hba.is_array()) {
    facts.hba.emplace();
    for (const json& row : hba) facts.hba->push_back(hba_line_of(row));
  }
  for (const json& row : member(root, "slots")) facts.slots.push_back(slot_of(row));
  for (const json& row : member(root, "senders")) {
    facts.senders.push_back({text_of(row, "name"), whole_of<std::int32_t>(row, "pid").value_or(0),
                             text_of(row, "state"), text_of(row, "address")});
  }
  const json& receiver = member(root, "receiver");
  facts.upstream_host = text_of(receiver, "host");
  facts.upstream_port = whole_of<std::uint16_t>(receiver, "port").value_or(0);
  facts.replay_paused = flag_of(root, "replay_paused");
  facts.archiver_fails = flag_of(member(root, "archiver"), "fails");
  facts.archiver_failed_file = text_of(member(root, "archiver"), "file");
  facts.wal_bytes = whole_of<std::uint64_t>(root, "wal_bytes");
  facts.rights = monitor_rights_of(member(root, "rights"));
  if (const json& role = member(root, "replication_role"); role.is_object()) {
    facts.replication_role = {.may_log_in = flag_of(role, "login"),
                              .may_replicate = flag_of(role, "replication") || flag_of(role, "superuser"),
                              .superuser = flag_of(role, "superuser"),
                              .expired = flag_of(role, "expired"),
                              .may_connect = flag_of(role, "connect"),
                              .missing_functions = texts_of(role, "functions")};
  }
  return facts;
}

std::string database_bytes_text() {
  return "SELECT sum(pg_database_size(oid)) FROM pg_database WHERE datallowconn OR datistemplate";
}

std::string missing_files_text() {
  return "SELECT name || ': ' || setting FROM pg_settings WHERE name = ANY (" + array_of(kFileSettings) +
         ") AND setting <> '' AND (name NOT LIKE 'ssl%' OR current_setting('ssl') = 'on') AND "
         "(pg_stat_file(setting, true)).size IS NULL";
}

}  // namespace pgkeel
