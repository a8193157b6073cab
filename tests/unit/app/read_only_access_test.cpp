#include "proxy/app/read_only_access.h"

#include <algorithm>
#include <memory>
#include <set>
#include <string>
#include <vector>

#include <doctest/doctest.h>

using namespace pgkeel;
using namespace std::chrono_literals;

namespace {

constexpr Instant kStart = Instant(1h);
constexpr Duration kInterval = 500ms;

ClusterConfig config_of_test() {
  ClusterConfig config;
  config.max_read_lag = 1s;
  config.detection.failure_timeout = 3s;
  return config;
}

ReadTarget reader(const std::string& node, bool is_primary, bool takes_new) {
  return {{node, {node + ".example", 5432}}, is_primary, takes_new};
}

// The primary a, and its standbys b and c. Nothing has been heard of them yet.
struct Story {
  Story() {
    for (const char* name : {"a", "b", "c"}) {
      NodeView node;
      node.name = name;
      node.address = {node.name + ".example", 5432};
      nodes.push_back(std::move(node));
    }
  }

  NodeView& node(const std::string& name) { return *std::ranges::find(nodes, name, &NodeView::name); }

  // A probe of the node is answered now.
  void hear(const std::string& name, std::uint64_t position) {
    NodeFacts facts;
    facts.system_identifier = "7000";
    facts.timeline = 1;
    facts.in_recovery = name != "a";
    facts.wal_position = facts.replayed = {position};
    facts.wal_receiver_streaming = facts.in_recovery;
    NodeView& heard = node(name);
    heard.facts = std::make_shared<const NodeFacts>(facts);
    heard.facts_at = now;
    heard.suspicion.liveness = Liveness::kAlive;
  }
  void review() { access.review(nodes, maintained, now); }
  void pass(Duration time) {
    now += time;
    review();
  }
  // Of what was published last.
  [[nodiscard]] bool leads_to(const std::string& name) const { return access.published().server_of(name) != nullptr; }
  [[nodiscard]] bool takes_new(const std::string& name) const {
    return std::ranges::any_of(access.published().readers, [&](const ReadTarget& target) {
      return target.server.node == name && target.takes_new;
    });
  }

  std::vector<NodeView> nodes;
  std::set<std::string> maintained;
  Instant now = kStart;
  RouteOrder order{.epoch = 7, .node = "a", .reason = "a is the primary"};
  int published = 0;
  std::vector<std::string> told;
  ReadOnlyAccess access{config_of_test(),
                        [this](const Route&, const std::function<void()>& applied, const std::function<void()>&) {
                          ++published;
                          applied();
                        },
                        [this](LogLevel, const std::string& text) { told.push_back(text); }};
};

// Another process has led reads to b, and let those at c stay.
struct TakenOver : Story {
  TakenOver() {
    Route open;
    open.epoch = 7;
    open.readers = {reader("a", true, true), reader("b", false, true), reader("c", false, false)};
    access.resume(order, open, now);
  }
};

}  // namespace

TEST_CASE("what another process knew of a node holds until this one has measured the node itself") {
  TakenOver story;
  REQUIRE(story.access.readers().size() == 3);  // to show before anything is decided
  CHECK(story.access.takes_new(story.access.readers()[1]));
  CHECK_FALSE(story.access.takes_new(story.access.readers()[2]));
  story.review();
  CHECK(story.published == 0);
  CHECK(story.takes_new("b"));
  CHECK(story.leads_to("c"));

  // The primary is heard first, and b, which cannot be measured by that alone.
  story.hear("b", 0x1000);
  story.pass(kInterval);
  CHECK(story.published == 0);

  // b is close enough, and c has gone over to another history.
  story.hear("a", 0x1000);
  story.hear("b", 0x1000);
  story.hear("c", 0x1000);
  NodeFacts elsewhere = *story.node("c").facts;
  elsewhere.timeline = 2;
  story.node("c").facts = std::make_shared<const NodeFacts>(elsewhere);
  story.pass(kInterval);
  CHECK(story.published == 1);
  CHECK(story.takes_new("b"));
  CHECK_FALSE(story.leads_to("c"));
}

TEST_CASE("a node that is behind is known by this process's own measure, not as the other one had it") {
  TakenOver story;
  story.hear("a", 0x1000);
  story.hear("b", 0x900);
  story.hear("c", 0x1000);
  story.pass(kInterval);
  // b is behind all that was watched, which is not long enough yet to say so. c has caught up.
  CHECK(story.takes_new("b"));
  CHECK(story.takes_new("c"));
  for (std::uint64_t written = 0x1100; written <= 0x1400; written += 0x100) {
    story.now += kInterval;
    story.hear("a", written);
    story.hear("b", 0x900);
    story.hear("c", written);
    story.review();
  }
  CHECK(story.leads_to("b"));  // its sessions may stay
  CHECK_FALSE(story.takes_new("b"));
  CHECK(story.takes_new("c"));
}

TEST_CASE("what another process knew of a node that is not heard holds for failure_timeout, or until it fails") {
  TakenOver story;
  story.hear("a", 0x1000);
  story.pass(kInterval);
  REQUIRE(story.takes_new("b"));
  story.node("b").suspicion.liveness = Liveness::kDead;
  story.pass(kInterval);
  CHECK_FALSE(story.leads_to("b"));
  CHECK(story.leads_to("c"));
  story.pass(3s - 3 * kInterval);
  CHECK(story.leads_to("c"));
  story.pass(kInterval);
  CHECK_FALSE(story.leads_to("c"));
  CHECK(story.takes_new("a"));
}

TEST_CASE("what another process knew ends with the epoch, and with the node's address") {
  TakenOver story;
  story.node("b").address.port = 5433;
  story.review();
  CHECK_FALSE(story.leads_to("b"));
  CHECK(story.leads_to("c"));

  story.order = {.epoch = 8, .node = "", .reason = "a failed"};
  story.access.follow(
      story.order, story.nodes, story.maintained, story.now, [] {}, [] {});
  CHECK(story.access.published().epoch == 8);
  CHECK(story.access.published().readers.empty());
}

TEST_CASE("where reads are led is told when it is known, and when it changes") {
  Story story;
  for (const char* name : {"a", "b", "c"}) story.hear(name, 0x1000);
  story.access.follow(
      story.order, story.nodes, story.maintained, story.now, [] {}, [] {});
  story.review();
  REQUIRE(story.told.size() == 1);
  CHECK(story.told.back() == "the read-only endpoint leads to b and c");
  story.pass(kInterval);
  CHECK(story.told.size() == 1);
  story.node("c").suspicion.liveness = Liveness::kDead;
  story.pass(kInterval);
  REQUIRE(story.told.size() == 2);
  CHECK(story.told.back().starts_with("the read-only endpoint leads to b: c "));
}
