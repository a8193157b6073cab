// A ClusterService among several pgkeels: when it decides and when it looks on, and what becomes of orders. Its
// nodes are nowhere: what is decided of servers is tested elsewhere.
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include <doctest/doctest.h>

#include "proxy/app/cluster_service.h"
#include "replication/state/memory_text.h"
#include "tests/support/temporary_folder.h"
#include "tests/unit/app/fake_coordination.h"
#include "tests/unit/io/loop_runner.h"

using namespace pgkeel;
using namespace pgkeel::test;
using namespace std::chrono_literals;

namespace {

ClusterConfig orders_cluster() {
  ClusterConfig cluster;
  cluster.name = "orders";
  cluster.listen = {"127.0.0.1", 0};
  for (const std::string name : {"a", "b"}) {
    NodeConfig node;
    node.name = name;
    node.address = {"127.0.0.1", 1};
    cluster.nodes.push_back(node);
  }
  return cluster;
}

ClusterMemory steady_memory() {
  ClusterMemory memory;
  memory.phase = Phase::kSteady;
  memory.epoch = 4;
  memory.primary = "a";
  memory.system_identifier = "7000";
  memory.timeline = 1;
  return memory;
}

struct Served {
  Served() {
    std::vector<NamedSocket> inherited;
    REQUIRE(workers.start(inherited));
    coordination.state.memories["orders"] = {coordination.state.revision, write_memory("orders", steady_memory())};
    coordination.open_route(1, 4, "a");
    service.agree_through(
        coordination, [](const std::string&) { return std::vector<OtherSight>{}; },
        [this](Instant until) { workers.set_write_deadline("orders", until); });
    service.start(std::map<std::string, Route>());
    review();
  }

  ~Served() {
    bool stopped = false;
    workers.stop(
        5s, [&] { stopped = true; }, false);
    CHECK(run_until(loop, [&] { return stopped; }));
  }

  void review() {
    service.review_agreement();
    bool done = false;
    for (int round = 0; round < 5; ++round) loop.defer([&done, round] { done = round == 4; });
    REQUIRE(run_until(loop, [&] { return done; }));
  }
  void lead(std::uint64_t term) {
    coordination.lead(term);
    review();
  }
  void another_leads() {
    coordination.state.leader = "two";
    coordination.state.leader_instance = "two-1";
    coordination.state.term = 20;
    coordination.agree();
    review();
  }

  std::shared_ptr<std::optional<OrderAnswer>> order_maintenance(bool preview = false) {
    OperatorOrder order;
    order.kind = OrderKind::kMaintenance;
    order.on = true;
    order.given_by = "127.0.0.1:4242";
    auto answer = std::make_shared<std::optional<OrderAnswer>>();
    service.give_order(order, preview, [answer](OrderAnswer given) { *answer = std::move(given); });
    return answer;
  }
  // etcd has the newest memory.
  void memory_is_written() {
    REQUIRE_FALSE(coordination.memories.empty());
    auto [text, written] = std::move(coordination.memories.back());
    coordination.memories.pop_back();
    coordination.state.memories["orders"] = {coordination.state.revision + 1, text};
    coordination.agree();
    written({});
    review();
  }
  [[nodiscard]] bool told(const std::string& words) const {
    for (const auto& event : events->since(0, 1000)) {
      if (event.text.find(words) != std::string::npos) return true;
    }
    return false;
  }

  TemporaryFolder folder;
  Loop loop;
  FakeCoordination coordination;
  StateDirectory state = std::move(*StateDirectory::open(folder.path() + "/state"));
  std::unique_ptr<EventLog> events = std::move(*EventLog::open(folder.path() + "/state"));
  std::unique_ptr<DecisionLog> decisions = std::move(*DecisionLog::open(folder.path() + "/state"));
  ClusterConfig config = orders_cluster();
  WorkerPool workers{loop,
                     ProxyConfig{},
                     {config},
                     1024,
                     [](const LinkEvidence&) {},
                     [](const CancelQuestion&, CancelAnswer) {},
                     [](const VerifierQuestion&, const VerifierSink&) {}};
  std::vector<Route> led;  // where the workers were led
  ClusterService service{loop,
                         config,
                         QuarantineConfig{},
                         ClusterMemory{},
                         "",
                         state,
                         *events,
                         *decisions,
                         workers,
                         [this](const std::string&, Route route, std::function<void()> applied, std::function<void()>) {
                           led.push_back(std::move(route));
                           loop.defer(std::move(applied));
                         }};
};

}  // namespace

TEST_CASE("one that looks on shows what is agreed, leads its clients there, and takes no order") {
  Served one;
  const ClusterStatus status = one.service.status();
  CHECK(status.epoch == 4);
  CHECK(status.phase == "steady");
  CHECK(status.route == "a");
  REQUIRE(status.agreement.has_value());
  CHECK_FALSE(status.agreement->leads);
  REQUIRE_FALSE(one.led.empty());
  CHECK(one.led.back().target->node == "a");
  const auto answer = one.order_maintenance();
  REQUIRE(answer->has_value());
  CHECK((*answer)->reason == "pgkeel two leads: give the order to that one");
  CHECK(one.coordination.memories.empty());
}

TEST_CASE("a new leader goes on from the agreed memory, and decides until its term is over") {
  Served one;
  one.lead(9);
  CHECK(one.told("this pgkeel leads, and decides from now on"));
  CHECK(one.service.status().epoch == 4);
  one.another_leads();
  CHECK(one.told("this pgkeel does not lead any more, and decides nothing"));
  CHECK((*one.order_maintenance())->reason == "pgkeel two leads: give the order to that one");
}

TEST_CASE("an order is answered when it is durable, and one that comes meanwhile waits for it") {
  Served one;
  one.lead(9);
  CHECK((*one.order_maintenance(true))->accepted);  // a preview needs no store
  const auto first = one.order_maintenance();
  CHECK_FALSE(first->has_value());
  const auto second = one.order_maintenance();
  CHECK_FALSE(second->has_value());
  one.memory_is_written();
  REQUIRE(first->has_value());
  CHECK((*first)->accepted);
  CHECK(one.service.status().maintenance.size() == 1);
}

TEST_CASE("an order that cannot be stored changes nothing, and is answered so") {
  Served one;
  one.lead(9);
  const auto answer = one.order_maintenance();
  REQUIRE_FALSE(one.coordination.memories.empty());
  one.coordination.memories.back().second(Error{"etcd is away"});
  REQUIRE(answer->has_value());
  CHECK_FALSE((*answer)->accepted);
  CHECK((*answer)->reason == "the order could not be stored: etcd is away");
}

TEST_CASE("whoever waits for an answer is told when the term ends, and what is stored late is not taken over") {
  Served one;
  one.lead(9);
  const auto first = one.order_maintenance();
  const auto second = one.order_maintenance();
  REQUIRE_FALSE(one.coordination.memories.empty());
  const auto written = one.coordination.memories.back().second;
  one.another_leads();
  for (const auto& answer : {first, second}) {
    REQUIRE(answer->has_value());
    CHECK_FALSE((*answer)->accepted);
  }
  written({});
  one.review();
  CHECK(one.service.status().maintenance.empty());
}

TEST_CASE("what an earlier tenure stored and hears of late is nothing to the next one, also in the same term") {
  Served one;
  one.lead(9);
  const auto answer = one.order_maintenance();
  REQUIRE_FALSE(one.coordination.memories.empty());
  const auto written = one.coordination.memories.back().second;
  one.another_leads();
  CHECK((*answer)->reason.find("may have been stored already") != std::string::npos);
  one.lead(9);
  written({});
  one.review();
  CHECK(one.service.status().maintenance.empty());
  CHECK(one.service.status().epoch == 4);
}

TEST_CASE("what etcd keeps and cannot be read is told, and nothing is decided by it") {
  Served one;
  one.coordination.state.memories["orders"] = {one.coordination.state.revision + 1, "no memory at all"};
  one.lead(9);
  CHECK(one.told("nothing is decided: what etcd keeps cannot be read"));
  CHECK_FALSE(one.told("this pgkeel leads"));
  CHECK((*one.order_maintenance())->reason.starts_with("this pgkeel leads, but decides nothing yet"));
}
