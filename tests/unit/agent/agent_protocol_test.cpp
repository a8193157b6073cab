#include "replication/agent/agent_protocol.h"

#include <doctest/doctest.h>

using namespace pgkeel;
using namespace std::chrono_literals;

namespace {

JobRequest rejoin_request() {
  JobRequest request;
  request.id = "0af3-7";
  request.kind = JobKind::kRejoin;
  request.term = std::uint64_t{1} << 62;
  request.node = "a";
  request.address = {"10.0.0.1", 5432};
  request.limit = 5s;
  request.mode = StopMode::kImmediate;
  request.leave_what_rests = true;
  request.upstream.emplace();
  request.upstream->node = "b";
  request.upstream->address = {"fd00::2", 5433};
  request.upstream->replication = {.user = "repl \"ü\"", .database = "postgres", .password_file = "/not/told"};
  request.upstream->password = "secret";
  request.upstream->tls = {.mode = ServerTlsMode::kVerifyFull, .ca = "/etc/ca.crt"};
  request.upstream->timeline = 7;
  request.upstream->timeline_history = {{5, Lsn{0x3000000}}, {6, Lsn{0x16B374D848}}};
  return request;
}

// `text` with `from` replaced.
std::string with(std::string text, const std::string& from, const std::string& to) {
  const auto at = text.find(from);
  REQUIRE(at != std::string::npos);
  return text.replace(at, from.size(), to);
}

}  // namespace

TEST_CASE("a request for a job arrives as it was sent, and no path of the sender's host goes along") {
  const auto sent = rejoin_request();
  const std::string text = to_json(sent);
  CHECK(text.find("/not/told") == std::string::npos);
  const auto got = parse_job_request(text);
  REQUIRE_MESSAGE(got, got.error().message);
  CHECK(got->id == sent.id);
  CHECK(got->term == sent.term);
  CHECK(got->limit == sent.limit);
  CHECK(got->same_work(sent));
  CHECK(got->upstream->password == "secret");
  CHECK(got->upstream->tls.mode == ServerTlsMode::kVerifyFull);
  CHECK(got->upstream->tls.ca == "/etc/ca.crt");
  CHECK(got->upstream->replication.user == sent.upstream->replication.user);
  CHECK(got->upstream->timeline_history == sent.upstream->timeline_history);
}

TEST_CASE("the same work is the same whoever asks, and another is not") {
  const auto one = rejoin_request();
  auto other = one;
  other.id = "x";
  other.upstream->password = "changed";
  other.term = 3;
  CHECK(one.same_work(other));
  other.upstream->timeline = 8;
  CHECK_FALSE(one.same_work(other));
  other = one;
  other.kind = JobKind::kProvision;
  CHECK_FALSE(one.same_work(other));
}

TEST_CASE("a request that is not whole, or not of this world, is refused by name") {
  const std::string good = to_json(rejoin_request());
  const auto refused = [](const std::string& text) {
    const auto got = parse_job_request(text);
    return got ? std::string() : got.error().message;
  };
  CHECK(refused("") == "this is no request for a job: it is no object");
  CHECK(refused("[1]").find("no object") != std::string::npos);
  CHECK(refused(std::string(100000, '[')).find("no object") != std::string::npos);
  CHECK(refused(with(good, "\"0af3-7\"", "\"../x\"")).find("id") != std::string::npos);
  CHECK(refused(with(good, "\"0af3-7\"", "\"\"")).find("id") != std::string::npos);
  CHECK(refused(with(good, "\"rejoin\"", "\"destroy\"")).find("kind") != std::string::npos);
  CHECK(refused(with(good, "\"node\":\"a\"", "\"node\":\"a; rm\"")).find("node") != std::string::npos);
  CHECK(refused(with(good, "\"node\":\"b\"", "\"node\":\"../b\"")).find("upstream") != std::string::npos);
  CHECK(refused(with(good, "5432", "70000")).find("port") != std::string::npos);
  CHECK(refused(with(good, "5432", "-1")).find("port") != std::string::npos);
  CHECK(refused(with(good, "5432", "0")).find("no port") != std::string::npos);
  CHECK(refused(with(good, "5432", "5432.5")).find("port") != std::string::npos);
  CHECK(refused(with(good, "\"10.0.0.1\"", "\"10.0.0.1 host=x\"")).find("address") != std::string::npos);
  CHECK(refused(with(good, "5000", "-5")).find("limit_ms") != std::string::npos);
  CHECK(refused(with(good, "5000", "1e30")).find("limit_ms") != std::string::npos);
  CHECK(refused(with(good, "\"secret\"", "\"a\\nb\"")).find("control character") != std::string::npos);
  CHECK(refused(with(good, "\"secret\"", "\"" + std::string(5000, 'x') + "\"")).find("too long") != std::string::npos);
  CHECK(refused(with(good, "\"upstream\"", "\"downstream\"")).find("upstream is missing") != std::string::npos);
}

TEST_CASE("records, facts and reports arrive as they were sent") {
  JobRecord record;
  record.id = "7";
  record.kind = JobKind::kExamine;
  record.node = "a";
  record.state = JobState::kInterrupted;
  record.started_at = WallTime(1700000000123ms);
  record.message = "broken \xff bytes";
  record.examination = Examination{true, false, 3, Lsn{0x5000060}};
  record.report = RejoinReport{"rewind", "/q", ""};
  record.lines_before = 9;
  record.lines = {"one", "two"};
  const auto got = parse_job_record(to_json(record));
  REQUIRE_MESSAGE(got, got.error().message);
  CHECK(got->state == JobState::kInterrupted);
  CHECK(got->started_at == record.started_at);
  CHECK(got->examination->end_of_wal == Lsn{0x5000060});
  CHECK(got->report->method == "rewind");
  CHECK(got->lines_before == 9);
  CHECK_FALSE(got->copied);
  record.copied = true;
  CHECK(parse_job_record(to_json(record))->copied);
  CHECK(got->lines == record.lines);
  CHECK(parse_job_records(to_json(std::vector<JobRecord>{record, record}))->size() == 2);

  NodeHostFacts facts;
  facts.postmaster_pid = 42;
  facts.control.emplace();
  facts.control->system_identifier = "7000000000000000001";
  facts.control->checkpoint = Lsn{0x2000028};
  facts.host.disks = {{"data directory", "/srv/pg", 1ULL << 50U, 1ULL << 51U}, {"pg_wal", "/wal", 7, 8}};
  facts.host.memory_available_bytes = 5;
  facts.host.memory_total_bytes = 6;
  facts.host.parent_is_writable = false;
  facts.host.data_directory_is_empty = true;
  facts.host.postgres_version = "15.14";
  facts.host.missing_programs = {"psql"};
  facts.host.other_versions = {{"pg_rewind", "14.9"}};
  const auto got_facts = parse_node_host_facts(to_json(facts));
  REQUIRE_MESSAGE(got_facts, got_facts.error().message);
  CHECK(got_facts->postmaster_pid == 42);
  CHECK(got_facts->control->checkpoint == facts.control->checkpoint);
  REQUIRE(got_facts->host.disks.size() == 2);
  CHECK(got_facts->host.disks[0].free_bytes == 1ULL << 50U);
  CHECK(got_facts->host.disks[1].path == "/wal");
  CHECK(got_facts->host.memory_available_bytes == 5);
  CHECK(got_facts->host.data_directory_is_empty);
  CHECK(got_facts->host.memory_total_bytes == 6);
  CHECK_FALSE(got_facts->host.parent_is_writable);
  CHECK(got_facts->host.postgres_version == "15.14");
  CHECK(got_facts->host.missing_programs == facts.host.missing_programs);
  CHECK(got_facts->host.other_versions == facts.host.other_versions);

  AgentReport report;
  report.instance = "ab";
  report.sequence = 3;
  report.clock = 12345678901234567ns;
  report.postmaster = ReportedPostmaster{7, std::nullopt, 1700000000, 5s};
  report.postmaster_ended = 17ns;
  report.notices = {{1, "it happened"}};
  const auto got_report = parse_agent_report(to_json(report));
  REQUIRE_MESSAGE(got_report, got_report.error().message);
  CHECK(got_report->clock == report.clock);
  CHECK(got_report->postmaster->same_process(*report.postmaster));
  CHECK_FALSE(got_report->postmaster->port);
  CHECK(got_report->postmaster_ended == 17ns);
  CHECK(got_report->notices.front().text == "it happened");
}

TEST_CASE("an error's message is found, and what is none is shown cut and without control characters") {
  CHECK(parse_error(error_json("busy \"now\"")) == "busy \"now\"");
  CHECK(parse_error("<html>\n") == "<html> ");
  CHECK(parse_error(std::string(100000, 'x')).size() == 200);
}

TEST_CASE("an agent that is older tells less, and is understood; what a fence or start is decided by it must tell") {
  const auto facts = parse_node_host_facts(
      R"({"nothing_runs":true,"data_directory_exists":true,"has_standby_signal":false,"rejoin_cut_off":false,"host":{}})");
  REQUIRE_MESSAGE(facts, facts.error().message);
  CHECK(facts->nothing_runs);
  CHECK(facts->pgkeel_version.empty());
  CHECK(facts->host.disks.empty());
  CHECK(facts->host.parent_is_writable);
  CHECK_FALSE(facts->host.data_directory_is_empty);
  CHECK_FALSE(parse_node_host_facts(
      R"({"data_directory_exists":true,"has_standby_signal":false,"rejoin_cut_off":false,"host":{}})"));
  CHECK_FALSE(parse_node_host_facts(
      R"({"nothing_runs":true,"data_directory_exists":true,"has_standby_signal":false,"rejoin_cut_off":false,
          "host":{"disks":7}})"));  // there, and wrong

  const auto report = parse_agent_report(R"({"instance":"x1","sequence":3,"clock_ns":5})");
  REQUIRE_MESSAGE(report, report.error().message);
  CHECK(report->job.empty());
  CHECK(report->notices.empty());

  const auto record = parse_job_record(
      R"({"id":"x","kind":"fence","node":"a","state":"done","started_at_ms":1,"message":"","lines":[]})");
  REQUIRE_MESSAGE(record, record.error().message);
  CHECK(record->lines_before == 0);
}

TEST_CASE("a pgkeel that is older orders less, and is understood; one that is newer says more, which is ignored") {
  const auto sent = rejoin_request();
  std::string text = to_json(sent);
  text = with(text, "\"term\":" + std::to_string(sent.term) + ",", "");
  for (const char* later : {"\"rebuild\":false,", "\"discard_old_data\":false,", "\"oldest_wal_file\":\"\","})
    text = with(text, later, "");
  const auto got = parse_job_request(with(text, "{", "{\"of_the_future\":[1],"));
  REQUIRE_MESSAGE(got, got.error().message);
  CHECK(got->same_work(sent));
  CHECK(got->term == 0);
}
