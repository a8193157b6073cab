#include "proxy/cli/status_text.h"

#include <doctest/doctest.h>

#include "proxy/admin/status_json.h"
#include "replication/state/event_log.h"

using namespace pgkeel;
using namespace std::chrono_literals;

namespace {

ClusterStatus two_nodes() {
  ClusterStatus cluster;
  cluster.name = "orders";
  cluster.access_point = {"0.0.0.0", 5432};
  cluster.condition = "degraded";
  cluster.summary = "a is primary, not every standby streams from it";
  cluster.phase = "steady";
  cluster.epoch = 3;
  cluster.route = "a";
  NodeStatus primary;
  primary.name = "a";
  primary.address = {"10.0.0.1", 5433};
  primary.role = "primary";
  primary.liveness = "alive";
  primary.note = "primary";
  primary.server_version_number = 150020;
  primary.timeline = 2;
  primary.wal_position = Lsn{0x3000060};
  NodeStatus standby = primary;
  standby.name = "b";
  standby.role = "";
  standby.server_version_number = 0;
  standby.timeline = 0;
  standby.wal_position = {};
  standby.note = "down (connection refused twice); being made a standby";
  cluster.nodes = {primary, standby};
  cluster.readiness.emplace();
  cluster.readiness->readiness = {.failover_would_work = false,
                                  .rejoin_would_work = true,
                                  .findings = {{.rule = "replay_paused",
                                                .node = "b",
                                                .severity = FindingSeverity::kError,
                                                .prevents = Prevents::kFailover,
                                                .problem = "its replay is paused",
                                                .remedy = "resume it"},
                                               {.rule = "x", .severity = FindingSeverity::kNotice}}};
  cluster.actions = {{"rejoin b", false, false, "no room"}, {"promote a", false, true, "takes writes"}};
  return cluster;
}

}  // namespace

TEST_CASE("the status reads as a sentence and a table") {
  const auto text = status_text(clusters_json({two_nodes()}));
  REQUIRE(text);
  CHECK(*text ==
        "orders: degraded: a is primary, not every standby streams from it\n"
        "  access point 0.0.0.0:5432 -> a, epoch 3; 0 clients, 0 held\n"
        "  node  address        role     version  timeline  WAL        behind  state\n"
        "  a     10.0.0.1:5433  primary  15.20    2         0/3000060  -       primary\n"
        "  b     10.0.0.1:5433  -        -        -         -          -       down (connection refused twice); being "
        "made a standby\n"
        "  readiness: a failover WOULD NOT WORK, a rejoin would work (looked at 1970-01-01T00:00:00.000Z)\n"
        "    error: b: its replay is paused; resume it\n"
        "  rejoin b: failed: no room\n");
}

TEST_CASE("no route and a state that cannot be stored are told") {
  ClusterStatus cluster = two_nodes();
  cluster.route.clear();
  cluster.state_error = "No space left on device";
  const auto text = status_text(clusters_json({cluster}));
  REQUIRE(text);
  CHECK(text->find("-> nowhere, epoch 3") != std::string::npos);
  CHECK(text->find("the state cannot be stored: No space left on device") != std::string::npos);
}

TEST_CASE("events are one line each, and the newest id is known") {
  Event event;
  event.id = 41;
  event.when = WallTime(1'700'000'000'123ms);
  event.cluster = "orders";
  event.severity = LogLevel::kWarning;
  event.epoch = 3;
  event.text = "a failed: postmaster 7 has ended";
  std::uint64_t last_id = 0;
  const std::string document = "{\"events\": [" + event_json(event) + "]}";
  const auto text = events_text(document, last_id);
  REQUIRE(text);
  CHECK(*text == "2023-11-14T22:13:20.123Z warning orders epoch 3: a failed: postmaster 7 has ended\n");
  CHECK(last_id == 41);
  const auto lines = events_json_lines(document, last_id);
  REQUIRE(lines);
  CHECK(lines->starts_with("{\"cluster\":\"orders\""));
}

TEST_CASE("an answer that is something else is an error, not a crash") {
  std::uint64_t last_id = 0;
  for (const char* answer :
       {"", "no", "[]", "{}", "{\"clusters\": 1}", "{\"clusters\": [{}]}", "{\"events\": [{\"id\": -1}]}", "\xff"}) {
    CAPTURE(answer);
    CHECK_FALSE(status_text(answer));
    CHECK_FALSE(events_text(answer, last_id));
  }
}
