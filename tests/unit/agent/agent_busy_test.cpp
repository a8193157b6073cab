// An agent does one job at a time: what becomes of an order that finds another one at work.
#include <future>
#include <stop_token>
#include <string>
#include <thread>
#include <vector>

#include "tests/unit/agent/agent_of_a.h"
#include "tests/unit/agent/rejoin_fixture.h"

using namespace pgkeel;
using namespace pgkeel::test;

namespace {
// `b` is the primary, and frozen: job "earlier" does not get on before it is thawed. Returns what orders a rebuild.
RejoinOrder begin_a_rejoin_that_hangs(AgentOfA& setup) {
  setup.pair.a->kill_tree();
  ServerPair::promote(*setup.pair.b, "a");
  const auto earlier = setup.rejoin(*setup.pair.b, "earlier");
  setup.pair.b->freeze_tree();
  HttpsClient http(setup.agent.peer());
  REQUIRE(http.post("/agent/v1/jobs", to_json(earlier), kCallLimit)->status == 202);
  RejoinOrder rebuild{*earlier.upstream};
  rebuild.options.rebuild = true;
  return rebuild;
}
}  // namespace

TEST_CASE("while one job runs any other is refused, and says what runs; the same work is the same job") {
  AgentOfA setup;
  setup.pair.a->kill_tree();
  ServerPair::promote(*setup.pair.b, "a");
  setup.pair.b->freeze_tree();  // the rejoin does not get on
  HttpsClient http(setup.agent.peer());
  auto order = setup.request(JobKind::kRejoin, "one");
  order.upstream.emplace();
  order.upstream->node = "b";
  order.upstream->address = {"127.0.0.1", setup.pair.b->port()};
  order.upstream->replication = {.user = "pgkeel_repl", .database = "postgres", .password_file = ""};
  order.upstream->timeline = 2;
  REQUIRE(http.post("/agent/v1/jobs", to_json(order), kCallLimit)->status == 202);
  const auto refused = http.post("/agent/v1/jobs", to_json(setup.request(JobKind::kStart, "two")), kCallLimit);
  REQUIRE_MESSAGE(refused, refused.error().message);
  CHECK(refused->status == 409);
  CHECK(parse_error(refused->body).find("the agent is busy: rejoin of a runs since") != std::string::npos);
  order.id = "three";
  const auto same = http.post("/agent/v1/jobs", to_json(order), kCallLimit);
  REQUIRE(same->status == 202);
  CHECK(parse_job_record(same->body)->id == "one");
  setup.pair.b->thaw_tree();
  CHECK(setup.end_of("one").state == JobState::kDone);
  CHECK(ServerPair::replicates(*setup.pair.b, *setup.pair.a));
}

TEST_CASE("a rebuild by order waits for the rejoin that an earlier pgkeel ordered, and tells how far that is") {
  AgentOfA setup;
  const RejoinOrder order = begin_a_rejoin_that_hangs(setup);
  std::vector<std::string> lines;
  Result<RejoinReport, RejoinError> rebuilt = RejoinError{{"not ordered"}};
  std::promise<void> waits;
  std::thread orders([&, client = setup.client()] {
    rebuilt = client.make_standby(order, [&](const std::string& line) {
      if (lines.empty()) waits.set_value();
      lines.push_back(line);
    });
  });
  waits.get_future().wait();
  setup.pair.b->thaw_tree();
  orders.join();
  REQUIRE_MESSAGE(rebuilt, rebuilt.error().message);
  CHECK(rebuilt->method == "basebackup");
  CHECK(lines.front().find("waits: the agent is busy: rejoin of a runs since") == 0);
  CHECK(setup.end_of("earlier").state == JobState::kDone);
  CHECK(ServerPair::replicates(*setup.pair.b, *setup.pair.a));
}

TEST_CASE("what waits for another job is broken off alone") {
  AgentOfA setup;
  const RejoinOrder order = begin_a_rejoin_that_hangs(setup);
  std::stop_source work;
  const auto broken_off =
      setup.client().breakable(work.get_token())->make_standby(order, [&](const std::string&) { work.request_stop(); });
  REQUIRE_FALSE(broken_off);
  CHECK(broken_off.error().message == "rejoin was broken off before the agent took it up");
  setup.pair.b->thaw_tree();
  CHECK(setup.end_of("earlier").state == JobState::kDone);
}
