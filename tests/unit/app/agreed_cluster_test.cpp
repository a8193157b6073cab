#include "proxy/app/agreed_cluster.h"

#include <optional>
#include <string>
#include <utility>
#include <vector>

#include <doctest/doctest.h>

#include "tests/unit/app/fake_coordination.h"
#include "tests/unit/io/loop_runner.h"

using namespace pgkeel;
using namespace pgkeel::test;
using namespace std::chrono_literals;

namespace {

struct Agreed {
  struct Led {
    RouteOrder order;
    AgreedCluster::Done applied;
    AgreedCluster::Done drained;
  };

  Agreed()
      : cluster(loop, "orders", coordination,
                {.lead =
                     [this](const RouteOrder& order, AgreedCluster::Done applied, AgreedCluster::Done drained) {
                       led.push_back({order, std::move(applied), std::move(drained)});
                     },
                 .set_write_deadline = [this](Instant until) { deadline = until; },
                 .changed = [this] { ++changes; },
                 .tell = [this](const std::string& text) { told.push_back(text); }}) {}

  void publish(RouteOrder order) {
    cluster.publish(
        order, [this] { published_applied = true; }, [this] { published_drained = true; });
    turn();
  }
  // What is deferred has been done.
  void turn() {
    bool done = false;
    for (int round = 0; round < 3; ++round) loop.defer([&done, round] { done = round == 2; });
    REQUIRE(run_until(loop, [&] { return done; }));
  }
  // The workers here have taken over what they were told last.
  void apply() {
    led.back().applied();
    turn();
  }
  void both_follow(std::uint64_t serial) {
    coordination.state.members["two"].applied["orders"] = serial;
    coordination.agree();
    cluster.review();
    turn();
  }

  Loop loop;
  FakeCoordination coordination;
  std::vector<Led> led;
  Instant deadline{};
  int changes = 0;
  std::vector<std::string> told;
  bool published_applied = false;
  bool published_drained = false;
  AgreedCluster cluster;
};

const RouteOrder kToA{.epoch = 4, .node = "a", .reason = "it takes writes", .mode = RouteMode::kNormal};
const RouteOrder kNowhere{.epoch = 5, .node = "", .reason = "a failed", .mode = RouteMode::kNormal};

}  // namespace

TEST_CASE("one that looks on follows the agreed route, no longer than its lease, and says when its workers have it") {
  Agreed one;
  one.cluster.review();
  CHECK(one.led.empty());
  CHECK(one.cluster.term() == 0);
  CHECK(one.cluster.leader() == "two");
  CHECK_FALSE(one.cluster.route().has_value());

  one.coordination.open_route(1, 4, "a");
  one.cluster.review();
  REQUIRE(one.led.size() == 1);
  CHECK(one.led[0].order.same_route(kToA));
  CHECK(one.deadline > Coordination::now());
  CHECK(one.deadline <= Coordination::now() + kFakeLease);
  CHECK_FALSE(one.cluster.serves());
  CHECK(one.coordination.applied.empty());
  one.apply();
  CHECK(one.coordination.applied["orders"] == 1);
  CHECK(one.cluster.serves());
  one.cluster.review();
  CHECK(one.led.size() == 1);  // the same once
}

TEST_CASE("without a lease its clients are ended, told once, and led back when it has one again") {
  Agreed one;
  one.coordination.open_route(1, 4, "a");
  one.cluster.review();
  one.apply();
  one.coordination.lose_lease();
  one.cluster.review();
  CHECK(one.deadline <= Coordination::now());
  REQUIRE(one.led.size() == 2);
  CHECK(one.led.back().order.node.empty());
  CHECK(one.led.back().order.epoch == 4);
  CHECK(one.told.size() == 1);
  CHECK_FALSE(one.cluster.serves());
  one.cluster.review();
  CHECK(one.told.size() == 1);
}

TEST_CASE("a route of an older epoch than one that was open here is not opened, whatever etcd has") {
  Agreed one;
  one.coordination.open_route(7, 4, "a");
  one.cluster.review();
  one.apply();
  one.coordination.open_route(8, 3, "b");
  one.cluster.review();
  CHECK(one.led.back().order.node.empty());
  CHECK(one.led.back().order.epoch == 4);
  CHECK(one.led.back().order.reason.find("older than one that was open here") != std::string::npos);
}

TEST_CASE("what a leader publishes is written, and told as applied when nobody can be on an older route") {
  Agreed one;
  one.coordination.open_route(1, 4, "a");
  one.coordination.lead(9);
  CHECK(one.cluster.term() == 9);
  one.cluster.review();
  one.apply();

  one.publish(kNowhere);
  REQUIRE(one.coordination.routes.size() == 1);
  CHECK(one.coordination.routes[0].first.epoch == 5);
  CHECK(one.led.size() == 1);  // nobody follows what is not agreed on
  one.coordination.routes[0].second({});
  one.coordination.open_route(2, 5, "");
  one.cluster.review();
  one.apply();
  CHECK_FALSE(one.published_applied);  // "two" has not said so
  one.both_follow(2);
  CHECK(one.published_applied);
}

TEST_CASE("a route that opens a node is told as applied when the workers here have it: the one before was closed") {
  Agreed one;
  one.coordination.open_route(1, 4, "");
  one.coordination.lead(9);
  one.publish(kToA);
  REQUIRE(one.coordination.routes.size() == 1);
  one.coordination.routes[0].second({});
  one.coordination.open_route(2, 4, "a");
  one.cluster.review();
  CHECK_FALSE(one.published_applied);
  one.apply();
  CHECK(one.published_applied);
}

TEST_CASE("a draining route is drained when it is so everywhere") {
  Agreed one;
  one.coordination.open_route(1, 4, "a");
  one.coordination.lead(9);
  one.cluster.review();
  one.apply();
  const RouteOrder draining{.epoch = 4, .node = "a", .reason = "a switchover", .mode = RouteMode::kDraining};
  one.publish(draining);
  one.coordination.routes[0].second({});
  one.coordination.open_route(2, 4, "a", RouteMode::kDraining);
  one.cluster.review();
  one.apply();
  one.both_follow(2);
  CHECK(one.published_applied);
  one.led.back().drained();
  one.turn();
  CHECK(one.coordination.drained["orders"] == 2);
  CHECK_FALSE(one.published_drained);
  one.coordination.others_drained = true;
  one.cluster.review();
  one.turn();
  CHECK(one.published_drained);
}

TEST_CASE("a route that could not be written is told, and written again after a pause") {
  Agreed one;
  one.coordination.lead(9);
  one.publish(kNowhere);
  REQUIRE(one.coordination.routes.size() == 1);
  one.coordination.routes[0].second(Error{"etcd is away"});
  CHECK(one.told == std::vector<std::string>{"the route is not written yet: etcd is away"});
  one.cluster.review();
  CHECK(one.coordination.routes.size() == 1);
  REQUIRE(run_until(one.loop, [&] {
    one.cluster.review();
    return one.coordination.routes.size() == 2;
  }));
}

TEST_CASE("who does not lead writes nothing, and a wish does not outlive its term") {
  Agreed one;
  one.publish(kNowhere);
  CHECK(one.coordination.routes.empty());
  one.coordination.lead(9);
  one.cluster.forget_wish();
  one.cluster.review();
  CHECK(one.coordination.routes.empty());
}

TEST_CASE("one that has given the leadership up writes nothing more, and routes on") {
  Agreed one;
  one.coordination.open_route(1, 4, "a");
  one.coordination.lead(9);
  one.cluster.review();
  one.apply();
  one.coordination.hand_over("two");
  CHECK(one.cluster.term() == 0);
  one.publish(kNowhere);
  CHECK(one.coordination.routes.empty());
  CHECK(one.cluster.serves());
}

TEST_CASE("the status names every member, who leads, and who follows the route") {
  Agreed one;
  one.coordination.open_route(1, 4, "a");
  one.cluster.review();
  one.apply();
  one.coordination.state.members.erase("two");
  one.coordination.agree();
  const AgreementStatus status = one.cluster.status();
  CHECK(status.leader == "two");
  CHECK_FALSE(status.leads);
  CHECK(status.routes);
  REQUIRE(status.members.size() == 2);
  CHECK(status.members[0].name == "one");
  CHECK(status.members[0].is_self);
  CHECK(status.members[0].follows_route);
  CHECK(status.members[1].leads);
  CHECK_FALSE(status.members[1].has_lease);
}
