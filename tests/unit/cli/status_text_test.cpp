#include "proxy/cli/status_text.h"

#include <doctest/doctest.h>

#include "proxy/admin/status_json.h"
#include "replication/state/decision_text.h"
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
  primary.host.emplace();
  primary.host->disks = {{"data directory", "/srv/pg", 3ULL << 30, 8ULL << 30}, {"pg_wal", "/wal", 5 << 20, 9 << 20}};
  primary.host->memory_available_bytes = 512 << 20;
  primary.host->memory_total_bytes = 2ULL << 30;
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

TEST_CASE("of several pgkeels each has a line") {
  ClusterStatus cluster = two_nodes();
  MemberStatus one;
  one.name = "one";
  one.address = "10.0.0.1:7434";
  one.version = "1.0";
  one.leads = one.has_lease = true;
  MemberStatus three;
  three.name = "three";
  MemberStatus two = one;
  two.name = "two";
  two.is_self = two.follows_route = true;
  two.leads = false;
  two.differs_in = {"cluster.orders.durability", "coordination.lease"};
  cluster.agreement.emplace();
  cluster.agreement->leader = "one";
  cluster.agreement->routes = true;
  cluster.agreement->may_route_for = 2500ms;
  cluster.agreement->members = {one, three, two};
  const Painter plain(false);
  const auto text = status_text(clusters_json({cluster}, {}), plain);
  REQUIRE(text);
  CHECK(
      text->find("  pgkeel one (1.0, 10.0.0.1:7434): leads, has not followed the route yet\n"
                 "  pgkeel three (gone): has no lease\n"
                 "  pgkeel two (this one, 1.0, 10.0.0.1:7434): follows the route, and may for 2500 ms more; configured "
                 "differently in cluster.orders.durability, coordination.lease\n") != std::string::npos);
  cluster.agreement->members[0].cannot_decide = "no order gets to a: timeout";
  const auto unable = status_text(clusters_json({cluster}, {}), plain);
  REQUIRE(unable);
  CHECK(unable->find("leads, has not followed the route yet; cannot decide: no order gets to a: timeout\n") !=
        std::string::npos);
  cluster.agreement->routes = false;
  cluster.agreement->leader.clear();
  const auto worse = status_text(clusters_json({cluster}, {}), plain);
  REQUIRE(worse);
  CHECK(worse->find("follows the route, lets nobody through;") != std::string::npos);
  CHECK(worse->find("  no pgkeel leads now\n") != std::string::npos);
  CHECK(worse->find("etcd") == std::string::npos);
  CHECK(worse->find("virtual IP") == std::string::npos);
  cluster.agreement->etcd_problem = "http://10.0.0.11:2379: no answer";
  cluster.agreement->promises_wanted = 2;
  cluster.agreement->promises_held = 1;
  cluster.agreement->vip = VipStatus{"10.0.0.100/24", "eth0", false, ""};
  const auto away = status_text(clusters_json({cluster}, {}), plain);
  REQUIRE(away);
  CHECK(away->find("  etcd: http://10.0.0.11:2379: no answer; 1 of 2 promises of the other pgkeels that replace it are "
                   "held\n") != std::string::npos);
  CHECK(away->find("  virtual IP 10.0.0.100/24: nobody holds it\n") != std::string::npos);
  cluster.agreement->vip = VipStatus{"10.0.0.100/24", "eth0", true, "two"};
  CHECK(status_text(clusters_json({cluster}, {}), plain)
            ->find("  virtual IP 10.0.0.100/24: of pgkeel two, on eth0 here\n") != std::string::npos);
}

TEST_CASE("what is wrong stands out on a terminal, and the columns stay where they are") {
  const auto plain = status_text(clusters_json({two_nodes()}, {}));
  const auto painted = status_text(clusters_json({two_nodes()}, {}), Painter(true));
  REQUIRE(painted);
  CHECK(painted->find("orders: \033[33mdegraded\033[0m: ") == 0);
  CHECK(painted->find("\033[31mWOULD NOT WORK\033[0m") != std::string::npos);
  std::string without_escapes = *painted;
  for (auto at = without_escapes.find('\033'); at != std::string::npos; at = without_escapes.find('\033'))
    without_escapes.erase(at, without_escapes.find('m', at) - at + 1);
  CHECK(without_escapes == *plain);
}

TEST_CASE("the status reads as a sentence and a table") {
  const auto text = status_text(clusters_json({two_nodes()}, {}));
  REQUIRE(text);
  CHECK(
      *text ==
      "orders: degraded: a is primary, not every standby streams from it\n"
      "  access point 0.0.0.0:5432 -> a, epoch 3; 0 clients, 0 held\n"
      "  node  address        role     version  timeline  WAL        behind  state\n"
      "  a     10.0.0.1:5433  primary  15.20    2         0/3000060  -       primary\n"
      "  b     10.0.0.1:5433  -        -        -         -          -       down (connection refused twice); being "
      "made a standby\n"
      "  host of a: data directory 3.0 GiB free of 8.0 GiB, pg_wal 5.0 MiB free of 9.0 MiB, memory 512.0 MiB available "
      "of 2.0 GiB\n"
      "  readiness: a failover WOULD NOT WORK, a rejoin would work (looked at 1970-01-01T00:00:00.000Z)\n"
      "    error: b: its replay is paused; resume it\n"
      "  rejoin b: failed: no room\n");
}

TEST_CASE("no route and a state that cannot be stored are told") {
  ClusterStatus cluster = two_nodes();
  cluster.route.clear();
  cluster.state_error = "No space left on device";
  const auto text = status_text(clusters_json({cluster}, {}));
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

TEST_CASE("a decision tells on what it was founded, what it did, and what became of WAL, clients and all else") {
  DecisionRecord record;
  record.cluster = "orders";
  record.outcome = "done";
  record.epoch = 4;
  record.began = WallTime(1'700'000'000'103ms);
  record.decided = WallTime(1'700'000'000'123ms);
  record.from = "a";
  record.to = "b";
  record.reason = "a failed: postmaster 12 has ended";
  record.evidence = {{"a", "dead", "postmaster 12 has ended", record.began}, {"b", "alive", "alive", record.began}};
  record.candidates = {{"b", 3, Lsn{0x3000}, true}};
  record.steps = {{"intent", 20ms}, {"route open", 72ms}, {"redundant again", 20s}};
  record.fence = "proven stopped: no process of it is left";
  record.wal.proven_lossless = true;
  record.wal.old_primary_had_more = false;
  record.clients = {
      .ended_idle = 1, .ended_in_transaction = 2, .ended_busy = 3, .ended_in_commit = 4, .held = 6, .released = 5};
  record.beside_rows = DecisionRecord::BesideRows{.prepared_transactions = 2,
                                                  .physical_slots = {"archive", "barman"},
                                                  .physical_slots_anew = {},
                                                  .logical_slots = {},
                                                  .left = {"logical slot changes is not on b"}};
  const auto text = decisions_text("{\"decisions\": [" + decision_json(record) + "]}");
  REQUIRE(text);
  CHECK(*text ==
        "2023-11-14T22:13:20.103Z failover a -> b: done, epoch 4\n"
        "  why:         a failed: postmaster 12 has ended\n"
        "  evidence:    a dead (postmaster 12 has ended), for 20 ms\n"
        "               b alive, for 20 ms\n"
        "  candidates:  b at 0/3000 of timeline 3, safe\n"
        "  steps:       intent 20 ms, route open 72 ms (+52 ms), redundant again 20.0 s (+19.9 s)\n"
        "  old primary: proven stopped: no process of it is left\n"
        "  WAL:         no acknowledged commit is lost: each was on b before it was acknowledged\n"
        "               nothing is lost: a had no WAL that b lacks\n"
        "  clients:     ended: 1 idle, 2 in a transaction, 3 busy, 4 in COMMIT; held: 6, of these released: 5\n"
        "  beside rows: 2 prepared transactions came along; each holds its locks until it is ended\n"
        "               physical slots of others: archive, barman\n"
        "               logical slot changes is not on b\n");
  record.wal = {};
  record.wal.bytes_lacking = 128;
  record.wal.as_of = record.began;
  record.restarted = true;
  record.ordered_by = "127.0.0.1:4242";
  const auto other = decisions_text("{\"decisions\": [" + decision_json(record) + "]}");
  REQUIRE(other);
  CHECK(other->find("ordered from 127.0.0.1:4242, continued after a restart of pgkeel\n") != std::string::npos);
  CHECK(other->find("when a was asked last (2023-11-14T22:13:20.103Z) it had 128 bytes that b lacks") !=
        std::string::npos);
  CHECK_FALSE(decisions_text("{\"decisions\": [{}]}"));
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

TEST_CASE("a configuration that is not what runs is told below the clusters") {
  ConfigurationStatus configuration;
  configuration.problems = {"/f:3:1: unknown key"};
  configuration.waiting = {"proxy.workers: 0 -> 3 (waits for a restart)"};
  const std::string text = status_text(clusters_json({two_nodes()}, configuration)).value();
  CHECK(
      text.ends_with("the configuration on disk is not what runs: /f:3:1: unknown key\n"
                     "waits for a restart: proxy.workers: 0 -> 3 (waits for a restart)\n"));
  CHECK(status_text(R"({"clusters": [], "configuration": 7})").value().empty());
  CHECK(status_text(R"({"clusters": [], "configuration": {"problems": "x"}})").value().ends_with(": x\n"));
}
