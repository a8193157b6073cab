#include "health/probe_query.h"

#include <algorithm>
#include <charconv>
#include <cstdint>
#include <vector>

#include <nlohmann/json.hpp>

#include "proxy/base/lenient_json.h"
#include "proxy/base/timeline_history.h"
#include "proxy/io/conninfo.h"

namespace pgkeel {
namespace {

using nlohmann::json;
using namespace lenient_json;

// Volatile functions are evaluated row by row, so CASE really guards them. A promotion may fall between two of them: an
// error 55000 then, and the probe asks again. Positions come last, to be as fresh as the answer.
constexpr std::string_view kQuery = R"sql(
WITH role AS MATERIALIZED (SELECT pg_is_in_recovery() AS in_recovery),
checkpoint AS MATERIALIZED (SELECT timeline_id, redo_lsn FROM pg_control_checkpoint()),
receiver AS MATERIALIZED (SELECT * FROM pg_stat_wal_receiver),
line AS MATERIALIZED (SELECT CASE WHEN NOT in_recovery
  THEN ('x' || substr(pg_walfile_name(pg_current_wal_flush_lsn()), 1, 8))::bit(32)::int
  ELSE greatest((SELECT received_tli FROM receiver), (SELECT timeline_id FROM checkpoint),
    (SELECT min_recovery_end_timeline FROM pg_control_recovery())$newest_segment$) END AS id FROM role)
SELECT json_build_object(
'system_identifier', (SELECT system_identifier::text FROM pg_control_system()),
'version', current_setting('server_version_num'),
'in_recovery', in_recovery,
'may_read_files', has_function_privilege('pg_read_file(text,bigint,bigint,boolean)', 'EXECUTE'),
'may_list_wal', has_function_privilege('pg_ls_waldir()', 'EXECUTE'),
'timeline', (SELECT id FROM line),
'checkpoint_timeline', (SELECT timeline_id FROM checkpoint),
'checkpoint_redo', (SELECT redo_lsn FROM checkpoint),
'timeline_history', $history$,
'replay_paused', CASE WHEN in_recovery THEN pg_is_wal_replay_paused() END,
'apply_delay_ms', extract(epoch FROM current_setting('recovery_min_apply_delay')::interval) * 1000,
'recovery_target_set', concat(current_setting('recovery_target'), current_setting('recovery_target_lsn'),
  current_setting('recovery_target_name'), current_setting('recovery_target_time'),
  current_setting('recovery_target_xid')) <> '',
'limits', json_build_object($limits$),
'restore_command_set', current_setting('restore_command') <> '',
'synchronous_standby_names', current_setting('synchronous_standby_names'),
'sync_waiters', CASE WHEN current_setting('synchronous_standby_names') <> '' THEN
  (SELECT count(*) FROM pg_stat_activity WHERE wait_event = 'SyncRep') END,
'sessions_despite_fence', CASE WHEN current_setting('synchronous_standby_names') = 'pgkeel_fenced' THEN
  (SELECT count(*) FROM pg_stat_activity WHERE backend_type = 'client backend' AND usename <> current_user) END,
'primary_conninfo', CASE WHEN pg_has_role('pg_read_all_settings', 'USAGE') THEN current_setting('primary_conninfo') END,
'primary_slot_name', current_setting('primary_slot_name'),
'receiver', (SELECT json_build_object('status', status, 'host', sender_host, 'port', sender_port,
  'written', written_lsn, 'silence_ms', extract(epoch FROM clock_timestamp() - last_msg_receipt_time) * 1000) FROM receiver),
'uptime_ms', extract(epoch FROM clock_timestamp() - pg_postmaster_start_time()) * 1000,
'slots', (SELECT json_agg(json_build_object('name', slot_name, 'active_pid', active_pid, 'restart', restart_lsn,
  'wal_status', wal_status)) FROM pg_replication_slots WHERE slot_type = 'physical' AND NOT temporary),
'logical_slots', (SELECT json_agg(to_json(slot)) FROM pg_replication_slots AS slot
  WHERE slot_type = 'logical' AND NOT temporary),
'prepared_transactions', (SELECT count(*) FROM pg_prepared_xact()),
'senders', (SELECT json_agg(json_build_object('name', application_name, 'pid', pid, 'state', state,
  'sync_state', sync_state, 'sent', sent_lsn, 'written', write_lsn, 'flushed', flush_lsn, 'replayed', replay_lsn,
  'write_lag_ms', extract(epoch FROM write_lag) * 1000, 'flush_lag_ms', extract(epoch FROM flush_lag) * 1000,
  'replay_lag_ms', extract(epoch FROM replay_lag) * 1000))
  FROM pg_stat_replication),
'replayed', CASE WHEN in_recovery THEN pg_last_wal_replay_lsn() END,
'replays_own_wal', in_recovery AND pg_last_wal_receive_lsn() IS NULL,
'position', CASE WHEN in_recovery THEN greatest(pg_last_wal_receive_lsn(), pg_last_wal_replay_lsn())
  ELSE pg_current_wal_flush_lsn() END
)::text FROM role)sql";

// Segments of the newest timeline are there although nothing else knows of it yet. Those of a timeline whose history is
// not are what pg_rewind leaves of the one that it rewound. Not looked at while WAL is received: a long folder costs
// milliseconds.
constexpr std::string_view kNewestSegment = R"sql(, CASE WHEN NOT EXISTS (SELECT FROM receiver) THEN
    (WITH file AS MATERIALIZED (SELECT name FROM pg_ls_waldir())
     SELECT ('x' || max(substr(name, 1, 8)))::bit(32)::int FROM file WHERE name ~ '^[0-9A-F]{24}$'
       AND (name LIKE '00000001%' OR substr(name, 1, 8) || '.history' IN (SELECT name FROM file))) END)sql";

constexpr std::string_view kHistory = R"sql((SELECT CASE WHEN id > 1 THEN
  pg_read_file('pg_wal/' || lpad(upper(to_hex(id)), 8, '0') || '.history', 0, 65536, true) END FROM line))sql";

std::string limits_text() {
  std::string text;
  for (const char* name : kLimitsOfStandby) {
    if (!text.empty()) text += ", ";
    text += std::string("'") + name + "', current_setting('" + name + "')::int";
  }
  return text;
}

void replace(std::string& text, std::string_view placeholder, std::string_view with) {
  text.replace(text.find(placeholder), placeholder.size(), with);
}

std::uint32_t count_of(const json& object, const char* key) {
  return whole_of<std::uint32_t>(object, key).value_or(0);
}

Timeline timeline_of(const json& object, const char* key) {
  return static_cast<Timeline>(whole_of<std::int32_t>(object, key).value_or(0));
}

std::int32_t pid_of(const json& object, const char* key) {
  return whole_of<std::int32_t>(object, key).value_or(0);
}

Duration milliseconds_of(const json& object, const char* key) {
  constexpr std::int64_t kHundredYears = 100LL * 366 * 24 * 3600 * 1000;
  const auto milliseconds = whole_of<std::int64_t>(object, key).value_or(0);
  return std::chrono::milliseconds(milliseconds > kHundredYears ? 0 : milliseconds);
}

std::optional<Duration> milliseconds_if_any(const json& object, const char* key) {
  return member(object, key).is_number() ? std::optional(milliseconds_of(object, key)) : std::nullopt;
}

template <class Value>
std::optional<Value> parse_number(std::string_view text) {
  Value value{};
  const auto [end, code] = std::from_chars(text.data(), text.data() + text.size(), value);
  if (code != std::errc{} || end != text.data() + text.size()) return std::nullopt;
  return value;
}

WalSender sender_of(const json& row) {
  return {.application_name = text_of(row, "name"),
          .pid = pid_of(row, "pid"),
          .state = text_of(row, "state"),
          .sync_state = text_of(row, "sync_state"),
          .sent = lsn_of(row, "sent"),
          .written = lsn_of(row, "written"),
          .flushed = lsn_of(row, "flushed"),
          .replayed = lsn_of(row, "replayed"),
          .write_lag = milliseconds_if_any(row, "write_lag_ms"),
          .flush_lag = milliseconds_if_any(row, "flush_lag_ms"),
          .replay_lag = milliseconds_if_any(row, "replay_lag_ms")};
}

PhysicalSlot slot_of(const json& row) {
  PhysicalSlot slot;
  slot.name = text_of(row, "name");
  if (const auto pid = pid_of(row, "active_pid"); pid > 0) slot.active_pid = pid;
  slot.restart_lsn = lsn_of(row, "restart");
  slot.wal_status = text_of(row, "wal_status");
  return slot;
}

// A row as it is in this version: some columns came with later ones.
LogicalSlot logical_slot_of(const json& row) {
  return {.name = text_of(row, "slot_name"),
          .database = text_of(row, "database"),
          .plugin = text_of(row, "plugin"),
          .confirmed_flush = lsn_of(row, "confirmed_flush_lsn"),
          .lost = text_of(row, "wal_status") == "lost" || flag_of(row, "conflicting"),
          .synced = flag_of(row, "synced")};
}

}  // namespace

std::string probe_query_text(ProbeRights rights) {
  std::string text(kQuery);
  replace(text, "$limits$", limits_text());
  replace(text, "$newest_segment$", rights.list_wal ? kNewestSegment : "");
  replace(text, "$history$", rights.read_files ? kHistory : "NULL");
  return text;
}

std::string without_passwords(const std::string& conninfo) {
  auto settings = parse_conninfo(conninfo);
  if (!settings) return "";
  bool any = false;
  for (const char* key : {"password", "sslpassword"}) {
    const auto found = settings->find(key);
    if (found == settings->end()) continue;
    found->second = "***";
    any = true;
  }
  return any ? format_conninfo(*settings) : conninfo;
}

Result<ProbeAnswer> parse_probe_answer(std::string_view json_text) {
  const auto root = json::parse(json_text, nullptr, false);
  ProbeAnswer answer;
  auto& facts = answer.facts;
  facts.system_identifier = text_of(root, "system_identifier");
  const auto version = parse_number<std::uint32_t>(text_of(root, "version"));
  facts.timeline = timeline_of(root, "timeline");
  if (facts.system_identifier.empty() || !version || facts.timeline == 0 || !member(root, "in_recovery").is_boolean()) {
    return Error{"the answer to the probe cannot be read"};
  }
  facts.server_version_number = *version;
  facts.in_recovery = flag_of(root, "in_recovery");
  facts.checkpoint_timeline = timeline_of(root, "checkpoint_timeline");
  facts.checkpoint_redo = lsn_of(root, "checkpoint_redo");
  facts.timeline_history_known = facts.timeline == 1;
  if (const auto history = text_of(root, "timeline_history"); !history.empty()) {
    if (auto forks = parse_timeline_history(history)) {
      facts.timeline_history = std::move(*forks);
      facts.timeline_history_known = true;
    }
  }
  facts.wal_position = lsn_of(root, "position");
  facts.replays_own_wal = flag_of(root, "replays_own_wal");
  facts.replayed = lsn_of(root, "replayed");
  facts.replay_paused = flag_of(root, "replay_paused");
  facts.recovery_min_apply_delay = milliseconds_of(root, "apply_delay_ms");
  facts.recovery_target_set = flag_of(root, "recovery_target_set");
  for (const char* name : kLimitsOfStandby) {
    if (const auto limit = whole_of<std::uint32_t>(member(root, "limits"), name)) facts.limits[name] = *limit;
  }
  facts.restore_command_set = flag_of(root, "restore_command_set");
  facts.synchronous_standby_names = text_of(root, "synchronous_standby_names");
  facts.sessions_despite_fence = count_of(root, "sessions_despite_fence");
  facts.backends_waiting_for_standbys = count_of(root, "sync_waiters");
  facts.primary_conninfo = without_passwords(text_of(root, "primary_conninfo"));
  facts.primary_slot_name = text_of(root, "primary_slot_name");
  if (const json& receiver = member(root, "receiver"); receiver.is_object()) {
    facts.wal_receiver_streaming = text_of(receiver, "status") == "streaming";
    facts.wal_receiver_source.host = text_of(receiver, "host");
    facts.wal_receiver_source.port = whole_of<std::uint16_t>(receiver, "port").value_or(0);
    facts.wal_receiver_written = lsn_of(receiver, "written");
    facts.wal_receiver_silence = milliseconds_if_any(receiver, "silence_ms");
  }
  facts.uptime = milliseconds_of(root, "uptime_ms");
  for (const json& row : member(root, "senders")) facts.wal_senders.push_back(sender_of(row));
  for (const json& row : member(root, "slots")) facts.slots.push_back(slot_of(row));
  for (const json& row : member(root, "logical_slots")) facts.logical_slots.push_back(logical_slot_of(row));
  facts.prepared_transactions = count_of(root, "prepared_transactions");
  answer.rights = {flag_of(root, "may_read_files"), flag_of(root, "may_list_wal")};
  return answer;
}

}  // namespace pgkeel
