// What the simulation reaches seldom: who counts while the roster is being written, names used twice, keys that go.
#include "replication/coordination/membership.h"

#include <doctest/doctest.h>

using namespace pgkeel;
using namespace std::chrono_literals;

namespace {

const CoordinationPolicy kPolicy{4s};

Instant at(Duration since_start) {
  return Instant{1h} + since_start;
}

// etcd as the member "left" sees it.
struct Etcd {
  AgreedState state;

  void enroll(const std::string& name, const std::string& instance) {
    state.members[name] = {};
    state.members[name].revision = ++state.revision;
    state.members[name].instance = instance;
  }
  void roster_is(std::set<std::string> members) { state.roster = {++state.revision, std::move(members)}; }
  void leader_is(const std::string& name, const std::string& instance) {
    state.leader = name;
    state.leader_instance = instance;
    state.term = ++state.revision;
  }
  void route_is(std::uint64_t serial, const std::string& node) {
    SharedRoute& route = state.routes["orders"];
    route.serial = serial;
    route.epoch = serial;
    route.node = node;
    route.version = ++state.revision;
  }
};

// "left", which leads and routes "orders" under serial 1, and whose lease was renewed at 0.
struct Leader {
  explicit Leader(std::set<std::string> roster) : left("left", "l1", kPolicy, at(-1h)) {
    etcd.enroll("left", "l1");
    for (const auto& name : roster) {
      if (name != "left") etcd.enroll(name, name + "1");
    }
    etcd.roster_is(std::move(roster));
    etcd.leader_is("left", "l1");
    etcd.route_is(1, "a");
    left.lease_granted(at(0s));
    left.registered(etcd.state, at(-1h));
    left.route_applied("orders", 1);
  }

  void tell(Duration when) { left.agreed(etcd.state, at(when)); }

  Etcd etcd;
  Membership left;
};

}  // namespace

TEST_CASE("whom a roster names that is being written counts before its answer is here") {
  Leader setup({"left"});
  Membership& left = setup.left;
  CHECK(left.serve_until("orders") == Instant::max());  // nobody else may lead
  setup.etcd.enroll("right", "r1");
  setup.tell(1s);
  CHECK(left.serve_until("orders") == Instant::max());
  const auto wishes = left.step(at(1s));
  REQUIRE(wishes.write_roster);
  CHECK(wishes.write_roster->members == std::set<std::string>{"left", "right"});
  // etcd may have it by the time in which it leaves: "right" may lead once our lease is over.
  CHECK(left.serve_until("orders") == at(3s));
  left.roster_write_over();
  CHECK(left.serve_until("orders") == at(3s));

  // "right" promises, and is then one that we may go on with.
  left.promise_heard({.from = "right", .holds = true, .roster = setup.etcd.state.roster, .routes = {}}, at(2s));
  CHECK(left.serve_until("orders") == at(5s));
}

TEST_CASE("a second attempt at the roster does not make the first one forgotten") {
  Leader setup({"left"});
  Membership& left = setup.left;
  setup.etcd.enroll("right", "r1");
  setup.tell(1s);
  REQUIRE(left.step(at(1s)).write_roster);
  left.roster_write_over();
  setup.etcd.state.members.erase("right");
  setup.etcd.enroll("third", "t1");
  setup.tell(2s);
  const auto again = left.step(at(2s));
  REQUIRE(again.write_roster);
  CHECK(again.write_roster->members == std::set<std::string>{"left", "third"});
  left.promise_heard({.from = "third", .holds = true, .roster = {}, .routes = {}}, at(2s));
  CHECK(left.serve_until("orders") == at(3s));  // by its lease alone: "right" has promised nothing

  // Once it is known which of them was carried out, the others do not count any more.
  setup.etcd.roster_is({"left", "third"});
  setup.tell(2s);
  CHECK(left.serve_until("orders") == at(5s));
}

TEST_CASE("a promise is given to a process, not to a name") {
  Leader setup({"left", "right"});
  Membership& left = setup.left;
  const PromiseRequest of_the_first{"right", "right1", {{"orders", 1}}};
  const PromiseRequest of_the_second{"right", "right2", {{"orders", 1}}};
  CHECK(left.answer(of_the_first, at(0s))->holds);
  CHECK_FALSE(left.answer(of_the_second, at(0s))->holds);  // "right" is another process now

  // The lease of the first is over, and the second takes the name and acknowledges whatever comes.
  setup.etcd.enroll("right", "right2");
  setup.etcd.route_is(2, "");
  setup.etcd.state.members["right"].applied["orders"] = 2;
  setup.tell(1s);
  CHECK_FALSE(left.answer(of_the_first, at(2s))->holds);
  CHECK_FALSE(left.closed_elsewhere("orders", 2, at(3900ms)));
  CHECK(left.maybe_open("orders", 2, at(3900ms)) == std::set<std::string>{"right"});
  CHECK(left.closed_elsewhere("orders", 2, at(4s)));
}

TEST_CASE("a process that says that it has closed is waited for no longer, whatever was promised to it") {
  Leader setup({"left", "right"});
  Membership& left = setup.left;
  REQUIRE(left.answer({"right", "right1", {{"orders", 1}}}, at(0s))->holds);
  setup.etcd.state.members.erase("right");
  setup.etcd.route_is(2, "");
  setup.tell(1s);
  CHECK_FALSE(left.closed_elsewhere("orders", 2, at(1s)));
  REQUIRE(left.answer({"right", "right1", {{"orders", 2}}}, at(1s)));
  CHECK(left.closed_elsewhere("orders", 2, at(1s)));
}

TEST_CASE("one that is behind gets no promise, and one that does not serve a cluster is not behind in it") {
  Leader setup({"left", "right"});
  Membership& left = setup.left;
  setup.etcd.route_is(2, "b");
  setup.tell(1s);
  CHECK_FALSE(left.answer({"right", "right1", {{"orders", 1}}}, at(1s))->holds);
  CHECK(left.answer({"right", "right1", {{"orders", 2}}}, at(1s))->holds);
  CHECK(left.answer({"right", "right1", {}}, at(1s))->holds);
  // It might have applied that since, though.
  setup.etcd.state.members.erase("right");
  setup.etcd.route_is(3, "");
  setup.tell(1s);
  CHECK_FALSE(left.closed_elsewhere("orders", 3, at(2s)));
  CHECK(left.closed_elsewhere("orders", 3, at(5s)));
}

TEST_CASE("who is not on the roster is promised nothing, and leaves no trace") {
  Leader setup({"left", "right"});
  const auto promise = setup.left.answer({"stranger", "s1", {{"orders", 9}}}, at(0s));
  REQUIRE(promise);
  CHECK_FALSE(promise->holds);
  CHECK(setup.left.closed_elsewhere_at() <= at(0s));
}

TEST_CASE("a member whose key is gone, or taken, registers again, and leads no more until then") {
  Leader setup({"left", "right"});
  Membership& left = setup.left;
  CHECK(left.leads(at(1s)));
  setup.etcd.state.members.erase("left");
  ++setup.etcd.state.revision;
  setup.tell(1s);
  CHECK_FALSE(left.leads(at(1s)));
  CHECK(left.step(at(1s)).register_member);
  setup.etcd.enroll("left", "l1");
  left.registered(setup.etcd.state, at(1s));
  CHECK(left.leads(at(1s)));

  setup.etcd.enroll("left", "of somebody else");
  setup.tell(2s);
  CHECK_FALSE(left.leads(at(2s)));
  CHECK(left.step(at(2s)).register_member);
}

TEST_CASE("what a promise told is forgotten once etcd has told what holds now") {
  Leader setup({"left", "right"});
  Membership& left = setup.left;
  SharedRoute invented;
  invented.serial = 1'000'000;
  invented.node = "z";
  left.promise_heard({.from = "right",
                      .holds = false,
                      .roster = {.version = 1'000'000, .members = {"right"}},
                      .routes = {{"orders", invented}}},
                     at(1s));
  CHECK(left.newest_route("orders")->node == "z");
  CHECK(left.serve_until("orders") == Instant{});
  left.lease_lost();
  left.lease_granted(at(2s));
  ++setup.etcd.state.revision;
  left.registered(setup.etcd.state, at(2s));
  CHECK(left.newest_route("orders")->node == "a");
  CHECK(left.serve_until("orders") == at(5s));
}

// "left" is to be ended: whether it would lead after nobody has since 1s.
TEST_CASE("one that is ending leads but where none of the others does for long, nobody else lives, or it is the heir") {
  Leader setup({"left", "right"});
  Membership& left = setup.left;
  setup.etcd.leader_is("right", "right1");
  setup.tell(0s);
  left.stand_back();
  setup.etcd.leader_is("", "");
  Instant from = at(1s);
  SUBCASE("another one lives") {
    from = at(1s) + kPolicy.inheritance();
  }
  SUBCASE("it was handed over to another one, which lives") {
    setup.etcd.state.heir = "right";
    from = at(1s) + 2 * kPolicy.inheritance();
  }
  SUBCASE("nobody else lives") {
    setup.etcd.state.members.erase("right");
  }
  SUBCASE("it was handed over to this one") {
    setup.etcd.state.heir = "left";
  }
  setup.tell(1s);
  for (Instant now = at(1s); now < from; now += 100ms) CHECK_FALSE(left.step(now).campaign);
  CHECK(left.step(from).campaign);
}
