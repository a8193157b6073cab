// Damaged and random words between pgkeel and an agent: each is refused with one line, or means what it says.
#include <algorithm>
#include <string>

#include "replication/agent/agent_protocol.h"
#include "tests/fuzz/fuzz.h"

using namespace pgkeel;
using namespace pgkeel::test;

namespace {

JobRequest good_request() {
  JobRequest request;
  request.id = "0a-1";
  request.kind = JobKind::kRejoin;
  request.node = "a";
  request.address = {"10.0.0.1", 5432};
  request.limit = std::chrono::seconds(5);
  request.upstream.emplace();
  request.upstream->node = "b";
  request.upstream->address = {"10.0.0.2", 5432};
  request.upstream->replication = {.user = "repl", .database = "postgres", .password_file = ""};
  request.upstream->password = "secret";
  request.upstream->timeline = 3;
  request.upstream->timeline_history = {{1, Lsn{0x1000000}}, {2, Lsn{0x2000000}}};
  return request;
}

void read_request(const std::string& text) {
  const auto request = parse_job_request(text);
  if (!request) {
    CHECK_FALSE(request.error().message.empty());
    return;
  }
  CHECK(std::ranges::none_of(request->node, [](char c) { return c == '/' || c == ' ' || c == '\0'; }));
  CHECK(request->address.port != 0);
  const auto again = parse_job_request(to_json(*request));
  REQUIRE_MESSAGE(again, again.error().message);
  CHECK(again->same_work(*request));
}

void read_answers(const std::string& text) {
  if (const auto record = parse_job_record(text)) CHECK(parse_job_record(to_json(*record)));
  if (const auto facts = parse_node_host_facts(text)) CHECK(parse_node_host_facts(to_json(*facts)));
  if (const auto report = parse_agent_report(text)) CHECK(parse_agent_report(to_json(*report)));
  if (const auto records = parse_job_records(text)) CHECK(records->size() <= 1000);
  CHECK(std::ranges::none_of(parse_error(text).substr(0, 1), [](char c) { return c == '\n'; }));
}

}  // namespace

TEST_CASE("damaged requests for jobs") {
  const std::string good = to_json(good_request());
  REQUIRE(parse_job_request(good));
  for_seeds(20'000, [&](std::uint64_t seed) {
    Random random(seed);
    std::string text = good;
    random.damage(text);
    read_request(text);
  });
}

TEST_CASE("damaged answers of an agent") {
  JobRecord record;
  record.id = "1";
  record.examination = Examination{true, true, 2, Lsn{0x3000000}};
  record.report = RejoinReport{"rewind", "/q", "/m"};
  record.lines = {"one"};
  NodeHostFacts facts;
  facts.control.emplace();
  AgentReport report;
  report.instance = "0a";
  report.postmaster = ReportedPostmaster{7, 5432, 1700000000, {}};
  report.notices = {{1, "n"}};
  const std::string words[] = {to_json(record), to_json(facts), to_json(report), to_json(std::vector{record})};
  for_seeds(20'000, [&](std::uint64_t seed) {
    Random random(seed);
    std::string text = random.one_of(words);
    random.damage(text);
    read_answers(text);
  });
}

TEST_CASE("random words") {
  for_seeds(3'000, [](std::uint64_t seed) {
    Random random(seed);
    const std::string text = random.bytes(random.length());
    read_request(text);
    read_answers(text);
  });
  read_request(std::string(1U << 20U, '['));
  read_answers("{\"error\":" + std::string(1U << 20U, '['));
}
