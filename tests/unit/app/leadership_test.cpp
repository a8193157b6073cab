#include "proxy/app/leadership.h"

#include <doctest/doctest.h>

#include "proxy/io/clock.h"
#include "tests/unit/app/fake_coordination.h"
#include "tests/unit/io/loop_runner.h"

using namespace pgkeel;
using namespace pgkeel::test;
using namespace std::chrono_literals;

namespace {

struct Led {
  explicit Led(bool leads = true) {
    if (leads) coordination.lead(9);
    clusters.push_back({.name = "orders",
                        .primary = "a",
                        .failure_timeout = 3s,
                        .hears_primary = true,
                        .heard_by = "",
                        .under_way = ""});
    see(true);
  }

  // What "two" says of the primary.
  void see(bool hears) {
    SeenView seen;
    seen.view.name = "two";
    seen.view.nodes["orders"]["a"] = {hears ? "alive" : "silent", hears, hears ? 100ms : 5s};
    seen.asked_at = monotonic_now();
    views = {{"two", seen}};
  }
  // The path from this one is cut.
  void go_blind() {
    clusters[0].hears_primary = false;
    clusters[0].heard_by = "two";
  }

  LeadAnswer order(const std::string& to = "", bool preview = false) {
    std::optional<LeadAnswer> answer;
    leadership.order({to, preview}, "127.0.0.1:4242", [&](LeadAnswer given) { answer = std::move(given); });
    REQUIRE(answer.has_value());
    return *answer;
  }
  void two_leads() {
    coordination.state.leader = "two";
    coordination.state.leader_instance = "two-1";
    coordination.state.term = 12;
    coordination.agree();
    leadership.review();
  }

  Loop loop;
  FakeCoordination coordination;
  std::vector<LedCluster> clusters;
  std::map<std::string, SeenView> views;
  std::vector<std::string> told;
  Leadership leadership{loop,
                        coordination,
                        false,
                        {.clusters = [this] { return clusters; },
                         .views = [this] { return views; },
                         .tell = [this](LogLevel, const std::string& text) { told.push_back(text); }}};
};

}  // namespace

TEST_CASE("an order to hand over is answered when the other one leads, with the time that nobody did") {
  Led led;
  std::optional<LeadAnswer> answer;
  led.leadership.order({"two", false}, "127.0.0.1:4242", [&](LeadAnswer given) { answer = std::move(given); });
  CHECK(led.coordination.handed_to == "two");
  CHECK_FALSE(led.coordination.membership().leads(Coordination::now()));
  led.leadership.review();
  CHECK_FALSE(answer.has_value());
  led.two_leads();
  REQUIRE(answer.has_value());
  CHECK(answer->accepted);
  CHECK(answer->leader == "two");
  CHECK(answer->without_leader.has_value());
  REQUIRE(led.told.size() == 2);
  CHECK(led.told[0] == "the leadership is handed over to pgkeel two: an operator ordered it (127.0.0.1:4242)");
  CHECK(led.told[1].starts_with("pgkeel two leads; for "));
}

TEST_CASE("a preview changes nothing") {
  Led led;
  const LeadAnswer answer = led.order("", true);
  CHECK(answer.accepted);
  CHECK(answer.leader == "two");
  CHECK(answer.consequences.starts_with("pgkeel two leads instead of one"));
  CHECK(led.coordination.handed_to.empty());
  CHECK(led.told.empty());
}

TEST_CASE("an order is refused, and says why") {
  Led led;
  std::string to = "two";
  std::string why;
  SUBCASE("to itself") {
    to = "one";
    why = "pgkeel one leads already";
  }
  SUBCASE("to nobody") {
    to = "three";
    why = "there is no pgkeel three; there are: two";
  }
  SUBCASE("by one that does not lead") {
    led.two_leads();
    why = "pgkeel two leads: give the order to that one";
  }
  SUBCASE("to one without a lease") {
    led.coordination.state.members.erase("two");
    led.coordination.agree();
    why = "pgkeel two has no lease: it does not run, or does not reach etcd";
  }
  SUBCASE("to one that does not answer") {
    led.views.clear();
    why = "pgkeel two does not answer this one";
  }
  SUBCASE("to one that does not hear from a primary") {
    led.see(false);
    why = "pgkeel two does not hear from the primary of orders, which this one hears";
  }
  SUBCASE("while something is under way") {
    led.clusters[0].under_way = "cluster orders: switchover is under way; try again when it is done";
    why = led.clusters[0].under_way;
  }
  SUBCASE("without a lease of its own") {
    led.coordination.lose_lease();
    why = "no pgkeel leads now; try again";
  }
  led.told.clear();
  const LeadAnswer answer = led.order(to);
  CHECK_FALSE(answer.accepted);
  CHECK(answer.reason == why);
  CHECK(led.coordination.handed_to.empty());
  CHECK(led.told == std::vector<std::string>{"lead, from 127.0.0.1:4242: refused: " + why});
}

TEST_CASE("without a name the first that can is chosen; where none can, each is told of") {
  Led led;
  led.see(false);
  CHECK(led.order().reason.starts_with("no other pgkeel can lead: pgkeel two does not hear from the primary"));
  led.coordination.state.roster.members.insert("three");
  led.coordination.state.members["three"].instance = "three-1";
  led.coordination.agree();
  led.views["three"] = led.views["two"];
  led.views["three"].view.nodes["orders"]["a"] = {"alive", true, 0ms};
  CHECK(led.order("", true).leader == "three");
}

TEST_CASE("a leader that alone does not hear from the primary hands over, and once") {
  Led led;
  led.leadership.review();
  CHECK(led.coordination.handed_to.empty());
  led.go_blind();
  led.leadership.review();
  CHECK(led.coordination.handed_to == "two");
  led.coordination.handed_to.clear();
  led.leadership.review();
  CHECK(led.coordination.handed_to.empty());
  CHECK(led.told.size() == 1);
}

TEST_CASE("nothing is handed over by one that only looks on, nor to one that does not hear") {
  Led looks_on(false);
  looks_on.go_blind();
  looks_on.leadership.review();
  CHECK(looks_on.coordination.handed_to.empty());

  Led led;
  led.go_blind();
  led.see(false);
  led.leadership.review();
  CHECK(led.coordination.handed_to.empty());
}

TEST_CASE("one that was handed the leadership does not hand it back at once, and says so once") {
  Led led(false);
  led.coordination.state.leader.clear();
  led.coordination.state.heir = "one";
  led.coordination.agree();
  led.leadership.review();
  led.coordination.state.heir.clear();
  led.coordination.lead(15);
  led.leadership.review();
  led.go_blind();
  led.leadership.review();
  led.leadership.review();
  CHECK(led.coordination.handed_to.empty());
  REQUIRE(led.told.size() == 1);
  CHECK(led.told[0].starts_with("the leadership is not handed over: it was handed over to this one less"));
}

TEST_CASE("a leader that cannot decide waits a while, and tells the others meanwhile") {
  Led led;
  led.clusters[0].obstacle = Obstacle{"no order gets to a: timeout", "a"};
  led.leadership.review();
  CHECK(led.coordination.handed_to.empty());
  CHECK(led.leadership.obstacles().at("orders") == "no order gets to a: timeout");
  led.clusters[0].obstacle.reset();
  led.leadership.review();
  CHECK(led.leadership.obstacles().empty());
  CHECK(led.told.empty());
}

TEST_CASE("one in whose configuration a cluster of the others is missing says that it cannot decide for it") {
  Led led;
  led.views["two"].view.nodes["stock"]["x"] = {"alive", true, 100ms};
  led.leadership.review();
  CHECK(led.leadership.obstacles().at("stock") ==
        "its configuration has no such cluster, and that of another pgkeel has");
  led.clusters.push_back(led.clusters[0]);
  led.clusters[1].name = "stock";
  led.leadership.review();
  CHECK(led.leadership.obstacles().empty());
}

TEST_CASE("an order passes over one that says that it cannot decide, but for one that names it") {
  Led led;
  led.views["two"].view.obstacles["orders"] = "no order gets to a: timeout";
  const std::string unable = "pgkeel two says that it cannot decide for orders: no order gets to a: timeout";
  CHECK(led.order().reason == "no other pgkeel can lead: " + unable);
  CHECK(led.coordination.handed_to.empty());
  CHECK(led.order("two", true).consequences.ends_with(" But " + unable + "."));
  led.leadership.order({"two", false}, "127.0.0.1:4242", [](const LeadAnswer&) {});
  CHECK(led.coordination.handed_to == "two");
  CHECK(led.leadership.hand_overs().ordered == 1);
}

TEST_CASE("what is under way where the leader cannot decide keeps nobody from ordering another one to lead") {
  Led led;
  led.clusters[0].under_way = "cluster orders: its state is not stored: timeout";
  led.clusters[0].obstacle = Obstacle{"its state cannot be stored: timeout", ""};
  CHECK(led.order("two", true).accepted);
}

TEST_CASE("what the others hear of a node is as old as their answers") {
  Led led;
  const auto sights = led.leadership.sights_of("orders", "a");
  REQUIRE(sights.size() == 1);
  CHECK(sights[0].pgkeel == "two");
  CHECK(sights[0].heard_at == led.views["two"].asked_at - 100ms);
  CHECK(led.leadership.sights_of("orders", "b").empty());
  CHECK(led.leadership.sights_of("stock", "a").empty());
  led.see(false);
  CHECK(led.leadership.sights_of("orders", "a").empty());
}

TEST_CASE("a leader that is being ended hands over to one that has said since that it is not, and tells the others") {
  Led led;
  CHECK_FALSE(led.leadership.stands_back());
  led.leadership.stand_back("SIGTERM");
  CHECK(led.leadership.stands_back());
  CHECK(led.leadership.leads_another());
  led.leadership.review();
  CHECK(led.coordination.handed_to.empty());
  CHECK(led.leadership.why_it_still_leads() ==
        "no other pgkeel can lead: pgkeel two has not said yet whether it is being ended as well");
  led.see(true);
  led.leadership.review();
  CHECK(led.coordination.handed_to == "two");
  CHECK(led.leadership.is_handing_over());
  CHECK(led.leadership.hand_overs().at_stop == 1);
  CHECK(led.told ==
        std::vector<std::string>{"the leadership is handed over to pgkeel two: this one is being ended (SIGTERM)"});
  led.two_leads();
  CHECK_FALSE(led.leadership.is_handing_over());
  CHECK(led.leadership.why_it_still_leads().empty());
}

TEST_CASE("one that is being ended comes to lead by no order, sight or end of another one") {
  Led led;
  led.views["two"].view.is_ending = true;
  CHECK(led.order("two").reason == "pgkeel two is being ended");
  CHECK(led.order().reason == "no other pgkeel can lead: pgkeel two is being ended");
  led.go_blind();
  led.leadership.review();
  led.leadership.stand_back("SIGTERM");
  led.views["two"].asked_at = monotonic_now();
  led.leadership.review();
  CHECK(led.coordination.handed_to.empty());
  CHECK_FALSE(led.leadership.leads_another());  // there is nobody to wait for
}

TEST_CASE("one that is handed the leadership while it is being ended hands it on at once") {
  Led led(false);
  led.leadership.stand_back("SIGTERM");
  led.coordination.state.roster.members.insert("three");
  led.coordination.state.members["three"].instance = "three-1";
  led.see(true);
  led.views["three"] = led.views["two"];
  led.views["two"].view.is_ending = true;
  led.coordination.lead(9);
  led.leadership.review();
  CHECK(led.coordination.handed_to == "three");
}
