#include "replication/agent/agent_protocol.h"

#include <algorithm>
#include <array>
#include <limits>
#include <utility>

#include "config/values.h"
#include "replication/agent/json_members.h"

namespace pgkeel {
namespace {

using namespace std::chrono_literals;

constexpr std::size_t kForksMax = 100000;
constexpr Duration kLimitMost = 24h;

constexpr std::array<std::pair<JobKind, const char*>, 8> kKinds = {{{JobKind::kFence, "fence"},
                                                                    {JobKind::kStart, "start"},
                                                                    {JobKind::kStartAfterCrash, "start_after_crash"},
                                                                    {JobKind::kStop, "stop"},
                                                                    {JobKind::kRestart, "restart"},
                                                                    {JobKind::kExamine, "examine"},
                                                                    {JobKind::kRejoin, "rejoin"},
                                                                    {JobKind::kProvision, "provision"}}};
constexpr std::array<std::pair<JobState, const char*>, 4> kStates = {{{JobState::kRunning, "running"},
                                                                      {JobState::kDone, "done"},
                                                                      {JobState::kFailed, "failed"},
                                                                      {JobState::kInterrupted, "interrupted"}}};
constexpr std::array<std::pair<StopMode, const char*>, 2> kModes = {
    {{StopMode::kFast, "fast"}, {StopMode::kImmediate, "immediate"}}};

constexpr std::array<std::pair<ServerTlsMode, const char*>, 4> kTlsModes = {
    {{ServerTlsMode::kDisable, "disable"},
     {ServerTlsMode::kRequire, "require"},
     {ServerTlsMode::kVerifyCa, "verify-ca"},
     {ServerTlsMode::kVerifyFull, "verify-full"}}};

Json address_json(const HostPort& address) {
  return {{"host", address.host}, {"port", address.port}};
}

HostPort address_in(Members& members, const char* name) {
  const Json* json = members.find(name);
  if (json == nullptr) return members.complain(std::string(name) + " is missing"), HostPort();
  Members inner(*json);
  HostPort address{inner.text("host"), inner.number<std::uint16_t>("port")};
  if (inner.problem().empty()) inner.complain_where(complain_of_host(address.host));
  if (!inner.problem().empty()) members.complain(std::string(name) + ": " + inner.problem());
  return address;
}

bool has_control_character(std::string_view text) {
  return std::ranges::any_of(text, [](char c) { return static_cast<unsigned char>(c) < 0x20 || c == 0x7F; });
}

UpstreamServer upstream_in(const Json& json, Members& outer) {
  Members members(json);
  UpstreamServer upstream;
  upstream.node = members.text("node");
  upstream.address = address_in(members, "address");
  upstream.replication.user = members.text("user");
  upstream.replication.database = members.text("database");
  upstream.timeline = members.number<Timeline>("timeline");
  upstream.oldest_wal_file = members.text_or("oldest_wal_file", "");
  if (members.find("password") != nullptr) upstream.password = members.text("password");
  if (members.find("tls_mode") != nullptr) upstream.tls.mode = members.choice("tls_mode", kTlsModes);
  if (members.find("tls_ca") != nullptr) upstream.tls.ca = members.text("tls_ca");
  for (const auto& row : members.array("timeline_history", kForksMax)) {
    Members fork(row);
    upstream.timeline_history.push_back({fork.number<Timeline>("timeline"), fork.lsn("end")});
    if (!fork.problem().empty()) members.complain("timeline_history: " + fork.problem());
  }
  if (members.problem().empty()) members.complain_where(complain_of_node_name(upstream.node));
  for (const auto& text :
       {upstream.replication.user, upstream.replication.database, upstream.password.value_or(""), upstream.tls.ca}) {
    if (has_control_character(text)) members.complain("a control character stands in a name or password");
  }
  if (!members.problem().empty()) outer.complain("upstream: " + members.problem());
  return upstream;
}

Json upstream_json(const UpstreamServer& upstream) {
  Json history = Json::array();
  for (const auto& fork : upstream.timeline_history)
    history.push_back({{"timeline", fork.timeline}, {"end", format_lsn(fork.end)}});
  Json json = {{"node", upstream.node},
               {"address", address_json(upstream.address)},
               {"user", upstream.replication.user},
               {"database", upstream.replication.database},
               {"timeline", upstream.timeline},
               {"oldest_wal_file", upstream.oldest_wal_file},
               {"timeline_history", std::move(history)}};
  if (upstream.password) json["password"] = *upstream.password;
  if (upstream.tls.mode != ServerTlsMode::kDisable) {
    json["tls_mode"] = name_of(kTlsModes, upstream.tls.mode);
    json["tls_ca"] = upstream.tls.ca;
  }
  return json;
}

Json record_json(const JobRecord& record) {
  Json json = {{"id", record.id},
               {"kind", job_kind_name(record.kind)},
               {"node", record.node},
               {"state", job_state_name(record.state)},
               {"started_at_ms",
                std::chrono::duration_cast<std::chrono::milliseconds>(record.started_at.time_since_epoch()).count()},
               {"message", record.message},
               {"copied", record.copied},
               {"lines_before", record.lines_before},
               {"lines", record.lines}};
  if (record.examination) {
    json["examination"] = {{"proven_stopped", record.examination->proven_stopped},
                           {"shut_down_cleanly", record.examination->shut_down_cleanly},
                           {"timeline", record.examination->timeline},
                           {"end_of_wal", format_lsn(record.examination->end_of_wal)}};
  }
  if (record.report) {
    json["report"] = {{"method", record.report->method},
                      {"quarantine", record.report->quarantine},
                      {"moved_aside", record.report->moved_aside}};
  }
  return json;
}

constexpr std::size_t kLinesMax = 100000;

Result<JobRecord> record_in(const Json& json) {
  Members members(json);
  JobRecord record;
  record.id = members.text("id");
  record.kind = members.choice("kind", kKinds);
  record.node = members.text("node");
  record.state = members.choice("state", kStates);
  record.started_at = WallTime(std::chrono::milliseconds(
      members.number<std::int64_t>("started_at_ms", std::numeric_limits<std::int64_t>::max() / 2'000'000)));
  record.message = members.text("message", 65536);
  record.copied = members.flag_or("copied", true);
  record.lines_before = members.number_or<std::uint64_t>("lines_before", 0);
  for (const auto& line : members.array("lines", kLinesMax)) {
    if (line.is_string()) record.lines.push_back(line.get<std::string>());
  }
  if (const Json* found = members.find("examination")) {
    Members inner(*found);
    record.examination = Examination{inner.flag("proven_stopped"), inner.flag("shut_down_cleanly"),
                                     inner.number<Timeline>("timeline"), inner.lsn("end_of_wal")};
    if (!inner.problem().empty()) members.complain(inner.problem());
  }
  if (const Json* found = members.find("report")) {
    Members inner(*found);
    record.report = RejoinReport{inner.text("method"), inner.text("quarantine"), inner.text("moved_aside")};
    if (!inner.problem().empty()) members.complain(inner.problem());
  }
  return checked(members, std::move(record), "record of a job");
}

}  // namespace

const char* job_kind_name(JobKind kind) {
  return name_of(kKinds, kind);
}

const char* job_state_name(JobState state) {
  return name_of(kStates, state);
}

bool JobRequest::same_work(const JobRequest& other) const {
  const auto upstream_of = [](const JobRequest& request) {
    Json json = request.upstream ? upstream_json(*request.upstream) : Json();
    if (!json.is_object()) return json;
    json.erase("password");
    json.erase("oldest_wal_file");
    return json;
  };
  return kind == other.kind && node == other.node && address == other.address && mode == other.mode &&
         options.rebuild == other.options.rebuild && options.discard_old_data == other.options.discard_old_data &&
         upstream_of(*this) == upstream_of(other);
}

std::string to_json(const JobRequest& request) {
  Json json = {{"id", request.id},
               {"kind", job_kind_name(request.kind)},
               {"term", request.term},
               {"node", request.node},
               {"address", address_json(request.address)},
               {"limit_ms", to_milliseconds(request.limit)},
               {"mode", name_of(kModes, request.mode)},
               {"leave_what_rests", request.leave_what_rests},
               {"leave_what_starts", request.leave_what_starts},
               {"rebuild", request.options.rebuild},
               {"discard_old_data", request.options.discard_old_data}};
  if (request.upstream) json["upstream"] = upstream_json(*request.upstream);
  return dump_line(json);
}

Result<JobRequest> parse_job_request(std::string_view text) {
  const Json json = parse_json(text);
  Members members(json);
  JobRequest request;
  request.id = members.text("id", kIdBytesMax);
  request.kind = members.choice("kind", kKinds);
  request.term = members.number_or("term", std::uint64_t{0});
  request.node = members.text("node");
  request.address = address_in(members, "address");
  request.limit = std::chrono::milliseconds(members.number<std::int64_t>("limit_ms", to_milliseconds(kLimitMost)));
  request.mode = members.choice("mode", kModes);
  request.leave_what_rests = members.flag("leave_what_rests");
  request.leave_what_starts = members.flag("leave_what_starts");
  request.options.rebuild = members.flag_or("rebuild", false);
  request.options.discard_old_data = members.flag_or("discard_old_data", false);
  if (const Json* upstream = members.find("upstream")) request.upstream = upstream_in(*upstream, members);
  if (!is_id(request.id)) members.complain("id is empty, or has a strange character");
  if (request.limit < Duration::zero()) members.complain("limit_ms is out of range");
  if (members.problem().empty()) members.complain_where(complain_of_node_name(request.node));
  if (request.address.port == 0) members.complain("address has no port");
  const bool needs_upstream = request.kind == JobKind::kRejoin || request.kind == JobKind::kProvision;
  if (needs_upstream && !request.upstream) members.complain("upstream is missing");
  return checked(members, std::move(request), "request for a job");
}

std::string to_json(const JobRecord& record) {
  return dump_line(record_json(record));
}

Result<JobRecord> parse_job_record(std::string_view text) {
  return record_in(parse_json(text));
}

std::string to_json(const std::vector<JobRecord>& records) {
  Json json = {{"jobs", Json::array()}};
  for (const auto& record : records) json["jobs"].push_back(record_json(record));
  return dump_line(json);
}

Result<std::vector<JobRecord>> parse_job_records(std::string_view text) {
  const Json json = parse_json(text);
  Members members(json);
  std::vector<JobRecord> records;
  for (const auto& row : members.array("jobs", 1000)) {
    auto record = record_in(row);
    if (!record) return record.error();
    records.push_back(std::move(*record));
  }
  return checked(members, std::move(records), "list of jobs");
}

std::string error_json(std::string_view message) {
  return dump_line({{"error", message}});
}

std::string busy_json(const std::string& running_id, std::string_view message) {
  return dump_line({{"error", message}, {"running", running_id}});
}

std::string parse_busy_id(std::string_view text) {
  const Json json = parse_json(text);
  Members members(json);
  std::string id = members.text("running", kIdBytesMax);
  return is_id(id) ? id : std::string();
}

std::string parse_error(std::string_view text) {
  const Json json = parse_json(text);
  const Members members(json);
  const Json* message = members.find("error");
  if (message != nullptr && message->is_string()) return message->get<std::string>().substr(0, kTextBytesMax);
  std::string cut(text.substr(0, 200));
  std::ranges::replace_if(
      cut, [](char c) { return static_cast<unsigned char>(c) < 0x20; }, ' ');
  return cut;
}

}  // namespace pgkeel
