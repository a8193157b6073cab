#include "replication/agent/upstream_access.h"

#include <charconv>
#include <sstream>
#include <sys/stat.h>
#include <utility>

#include "proxy/base/sql_quote.h"
#include "proxy/io/conninfo.h"
#include "proxy/io/sha256.h"
#include "replication/agent/standby_settings.h"
#include "replication/agent/wal_end.h"

namespace pgkeel {
namespace {

using namespace std::chrono_literals;

constexpr Duration kAnswerLimit = 30s;
constexpr std::size_t kTimelineDigits = 8;  // a WAL file's name begins with its timeline

// "16384|/mnt/fast": each line in two.
std::vector<std::pair<std::string, std::string>> rows_of(const std::string& answer) {
  std::vector<std::pair<std::string, std::string>> rows;
  std::istringstream lines(answer);
  for (std::string line; std::getline(lines, line);) {
    const auto bar = line.find('|');
    if (bar != std::string::npos) rows.emplace_back(line.substr(0, bar), line.substr(bar + 1));
  }
  return rows;
}

}  // namespace

void set_upstream_tls(std::map<std::string, std::string>& settings, const ServerTlsConfig& tls,
                      bool authority_is_there) {
  if (tls.mode == ServerTlsMode::kDisable) return;
  if (!tls.ca.empty() && authority_is_there) settings["sslrootcert"] = tls.ca;
  const bool can_verify = settings.contains("sslrootcert");
  settings["sslmode"] = server_tls_mode_name(can_verify ? tls.mode : ServerTlsMode::kRequire);
}

// The programs of a rejoin and the standby run as the owner of the data directory.
bool UpstreamAccess::server_may_read_authority() const {
  struct stat file {};
  if (upstream_.tls.ca.empty() || ::stat(upstream_.tls.ca.c_str(), &file) != 0) return false;
  const auto owner = directory_->owner();
  if (!owner) return false;
  return (file.st_mode & S_IROTH) != 0 || (file.st_uid == owner->user && (file.st_mode & S_IRUSR) != 0) ||
         (file.st_gid == owner->group && (file.st_mode & S_IRGRP) != 0);
}

Result<UpstreamAccess> UpstreamAccess::open(const DataDirectory& directory, const UpstreamServer& upstream) {
  UpstreamAccess access(directory, upstream);
  if (upstream.password) {
    access.password_ = *upstream.password;
    return access;
  }
  const auto& password_file = upstream.replication.password_file;
  if (password_file.empty()) return access;
  const auto text = read_file(password_file, 65536);
  if (!text) return Error{"the password of " + upstream.replication.user + ": " + text.error().message};
  access.password_ = first_line(*text);
  return access;
}

std::string UpstreamAccess::conninfo() const {
  std::map<std::string, std::string> settings = {{"host", upstream_.address.host},
                                                 {"port", std::to_string(upstream_.address.port)},
                                                 {"user", upstream_.replication.user},
                                                 {"dbname", upstream_.replication.database},
                                                 {"application_name", "pgkeel_rejoin"},
                                                 {"connect_timeout", "10"},
                                                 // A network that swallows everything ends the work, sooner or later.
                                                 {"keepalives_idle", "30"},
                                                 {"keepalives_interval", "10"},
                                                 {"keepalives_count", "6"},
                                                 {"tcp_user_timeout", "90000"}};
  set_upstream_tls(settings, upstream_.tls, server_may_read_authority());
  return format_conninfo(settings);
}

std::vector<std::string> UpstreamAccess::environment() const {
  if (password_.empty()) return {};
  return {"PGPASSWORD=" + password_};
}

std::string UpstreamAccess::primary_conninfo(const std::string& node, const std::string& password_file) const {
  std::map<std::string, std::string> settings = {
      {"host", upstream_.address.host},     {"port", std::to_string(upstream_.address.port)},
      {"user", upstream_.replication.user}, {"dbname", upstream_.replication.database},  // for sync_replication_slots
      {"application_name", node},           {"connect_timeout", "10"}};
  if (!password_file.empty()) settings["passfile"] = password_file;
  set_upstream_tls(settings, upstream_.tls, server_may_read_authority());
  return format_conninfo(settings);
}

Result<std::string> UpstreamAccess::ask(const std::string& conninfo, const std::string& sql) const {
  return directory_->run("psql",
                         {"--no-psqlrc", "--no-align", "--tuples-only", "--no-password", "--set", "ON_ERROR_STOP=1",
                          "--dbname", conninfo, "--command", sql},
                         kAnswerLimit, environment());
}

Result<void> UpstreamAccess::check(const std::string& system_identifier) {
  const auto who = "the upstream " + upstream_.node + " at " + format_host_port(upstream_.address);
  const auto for_replication = conninfo() + " replication='true'";
  const auto answer = ask(for_replication, "IDENTIFY_SYSTEM");
  if (!answer)
    return Error{who + " does not let " + upstream_.replication.user + " replicate: " + answer.error().message};
  std::istringstream row(*answer);
  std::string its_identifier;
  std::string its_timeline;
  std::getline(row, its_identifier, '|');
  std::string its_position;
  std::getline(row, its_timeline, '|');
  std::getline(row, its_position, '|');
  if (!system_identifier.empty() && its_identifier != system_identifier) {
    return Error{who + " is a server of another cluster (system identifier " + its_identifier + ", here " +
                 system_identifier + "); nothing was touched"};
  }
  if (its_timeline != std::to_string(upstream_.timeline)) {
    return Error{who + " is on timeline " + its_timeline + ", not on " + std::to_string(upstream_.timeline) +
                 " as it was; look again"};
  }
  upstream_.wal_position = parse_lsn(its_position).value_or(Lsn{});
  if (upstream_.timeline <= 1) return {};
  const auto history = ask(for_replication, "TIMELINE_HISTORY " + its_timeline);
  if (!history) return Error{who + " does not show its timeline history: " + history.error().message};
  // The file's name, then its text.
  auto forks = parse_timeline_history(std::string_view(*history).substr(history->find('|') + 1));
  if (!forks) return Error{who + ": " + forks.error().message};
  upstream_.timeline_history = std::move(*forks);
  return {};
}

std::string UpstreamAccess::obstacle_to_rewind() const {
  const auto answer = ask(conninfo(),
                          "SELECT bool_and(pg_catalog.has_function_privilege(f, 'EXECUTE')), "
                          "(SELECT timeline_id FROM pg_catalog.pg_control_checkpoint()) "
                          "FROM unnest(ARRAY['pg_catalog.pg_ls_dir(text, boolean, boolean)', "
                          "'pg_catalog.pg_stat_file(text, boolean)', 'pg_catalog.pg_read_binary_file(text)', "
                          "'pg_catalog.pg_read_binary_file(text, bigint, bigint, boolean)']) f");
  if (!answer) return answer.error().message;
  const auto row = first_line(*answer);
  if (!row.starts_with("t|")) return upstream_.replication.user + " lacks the functions that pg_rewind reads with";
  if (row.substr(2) != std::to_string(upstream_.timeline)) {
    return "the upstream has not had a checkpoint since its promotion";
  }
  return {};
}

bool UpstreamAccess::has_wal_from(Timeline timeline, Lsn position, std::uint32_t segment_bytes) const {
  // At the begin of a segment nothing of it need have been written yet.
  if (position.value % segment_bytes == 0) return true;
  if (wal_file_name(timeline, position, segment_bytes).substr(kTimelineDigits) < upstream_.oldest_wal_file)
    return false;
  // The segment that is asked for may be there under the number of any timeline that came later.
  std::string names = "'" + wal_file_name(timeline, position, segment_bytes) + "', '" +
                      wal_file_name(upstream_.timeline, position, segment_bytes) + "'";
  for (const auto& fork : upstream_.timeline_history) {
    if (fork.timeline > timeline) names += ", '" + wal_file_name(fork.timeline, position, segment_bytes) + "'";
  }
  const auto answer = ask(conninfo(),
                          "SELECT count((pg_catalog.pg_stat_file('pg_wal/' || name, true)).size) "
                          "FROM unnest(ARRAY[" +
                              names + "]) name");
  return !answer || first_line(*answer) != "0";
}

std::optional<bool> UpstreamAccess::has_same_wal(Timeline timeline, Lsn position, std::uint32_t segment_bytes,
                                                 std::string_view bytes) const {
  const auto answer = ask(conninfo(),
                          "SELECT pg_catalog.octet_length(bytes) || ' ' || "
                          "pg_catalog.encode(pg_catalog.sha256(bytes), 'hex') FROM "
                          "(SELECT pg_catalog.pg_read_binary_file('pg_wal/" +
                              wal_file_name(timeline, position, segment_bytes) + "', " +
                              std::to_string(position.value % segment_bytes) + ", " + std::to_string(bytes.size()) +
                              ", true) AS bytes) file");
  if (!answer) return std::nullopt;
  const std::string there = first_line(*answer);
  const std::string size = std::to_string(bytes.size()) + " ";
  if (!there.starts_with(size)) return std::nullopt;  // it has no such file, or less of it
  return there.substr(size.size()) == sha256_hex(bytes);
}

Result<std::map<std::string, std::string>> UpstreamAccess::tablespace_locations() const {
  const auto answer = ask(conninfo(),
                          "SELECT oid, pg_catalog.pg_tablespace_location(oid) FROM pg_catalog.pg_tablespace "
                          "WHERE spcname NOT IN ('pg_default', 'pg_global')");
  if (!answer) return answer.error();
  std::map<std::string, std::string> locations;
  for (const auto& [oid, location] : rows_of(*answer)) {
    if (location.starts_with('/')) locations[oid] = location;
  }
  return locations;
}

std::map<std::string, std::uint64_t> UpstreamAccess::tablespace_bytes() const {
  const auto answer = ask(conninfo(),
                          "SELECT oid, CASE WHEN pg_catalog.pg_has_role('pg_read_all_stats', 'USAGE') OR "
                          "pg_catalog.has_tablespace_privilege(oid, 'CREATE') OR oid = (SELECT dattablespace FROM "
                          "pg_catalog.pg_database WHERE datname = pg_catalog.current_database()) "
                          "THEN pg_catalog.pg_tablespace_size(oid) END FROM pg_catalog.pg_tablespace");
  std::map<std::string, std::uint64_t> bytes;
  if (!answer) return bytes;
  for (const auto& [oid, told] : rows_of(*answer)) {
    std::uint64_t count = 0;
    if (std::from_chars(told.data(), told.data() + told.size(), count).ec == std::errc()) bytes[oid] = count;
  }
  return bytes;
}

std::optional<std::string> UpstreamAccess::slot_user(const std::string& slot) const {
  const auto answer = ask(conninfo(),
                          "SELECT active_pid FROM pg_catalog.pg_replication_slots WHERE active_pid IS NOT NULL AND "
                          "slot_name = " +
                              quote_literal(slot));
  if (!answer) return std::nullopt;
  const auto first_digit = answer->find_first_of("0123456789");
  if (first_digit == std::string::npos) return std::nullopt;
  return answer->substr(first_digit, answer->find_first_not_of("0123456789", first_digit) - first_digit);
}

}  // namespace pgkeel
