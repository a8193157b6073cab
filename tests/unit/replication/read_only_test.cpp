#include "replication/decide/read_only.h"

#include <algorithm>
#include <map>
#include <memory>
#include <set>
#include <string>
#include <vector>

#include <doctest/doctest.h>

using namespace pgkeel;
using namespace std::chrono_literals;

namespace {

constexpr Instant kStart = Instant(1h);

NodeFacts facts_of(bool in_recovery) {
  NodeFacts facts;
  facts.system_identifier = "7000";
  facts.timeline = 1;
  facts.in_recovery = in_recovery;
  facts.wal_position = {0x1000};
  facts.replayed = {0x1000};
  facts.wal_receiver_streaming = in_recovery;
  return facts;
}

// A primary a and its standbys b and c, probed every half second.
struct Story {
  Story() {
    for (const char* name : {"a", "b", "c"}) {
      told[name] = std::make_shared<NodeFacts>(facts_of(std::string_view(name) != "a"));
      NodeView node;
      node.name = name;
      node.suspicion.liveness = Liveness::kAlive;
      node.facts = told[name];
      node.facts_at = kStart;
      nodes.push_back(std::move(node));
    }
  }

  std::vector<NodeView> nodes;
  std::map<std::string, std::shared_ptr<NodeFacts>> told;  // what they point at
  std::string primary = "a";
  std::uint64_t epoch = 1;
  std::set<std::string> maintained;
  Instant now = kStart;
  ReadOnlyEndpoint endpoint{{.max_read_lag = 1s, .failure_timeout = 3s}};
  std::vector<Reader> readers;

  NodeFacts& facts(const std::string& name) { return *told.at(name); }
  NodeView& node(const std::string& name) { return *std::ranges::find(nodes, name, &NodeView::name); }

  // `written`: by the primary, and replayed by the standbys but those that stand still.
  void pass(Duration time, std::uint64_t written, const std::set<std::string>& standing_still = {}) {
    const Instant end = now + time;
    do {
      now += 500ms;
      for (NodeView& each : nodes) {
        each.facts_at = now;
        if (standing_still.contains(each.name)) continue;
        facts(each.name).wal_position.value += written;
        facts(each.name).replayed.value += written;
      }
      decide();
    } while (now < end);
  }
  void decide() {
    readers = endpoint.decide(nodes, {.primary = primary, .epoch = epoch, .maintained = maintained}, now);
  }
  [[nodiscard]] const Reader& reader(const std::string& name) const {
    return *std::ranges::find(readers, name, &Reader::node);
  }
  [[nodiscard]] Readability standing(const std::string& name) const { return reader(name).readability; }
};

}  // namespace

TEST_CASE("standbys that keep up are eligible at once, and so is the primary, as such") {
  Story story;
  story.decide();
  CHECK(story.standing("b") == Readability::kEligible);
  CHECK(story.standing("c") == Readability::kEligible);
  CHECK(story.reader("a").is_primary);
  CHECK_FALSE(story.reader("b").is_primary);
  CHECK(story.reader("b").lag == Duration::zero());
}

TEST_CASE("a standby of an idle primary is not behind, however long nothing is written") {
  Story story;
  story.pass(10min, 0);
  CHECK(story.standing("b") == Readability::kEligible);
  CHECK(story.reader("b").lag == Duration::zero());
  CHECK(story.reader("b").lag_bytes == 0);
}

TEST_CASE("at the first look nothing may be known yet of a standby that lacks a little, and at the next one it is") {
  Story story;
  story.facts("b").replayed = {0xFFF};
  story.decide();
  CHECK(story.standing("b") == Readability::kBehind);
  CHECK(story.reader("b").why_not == "b could not be measured against a yet");
  story.facts("b").replayed = {0x1000};
  story.pass(500ms, 0x100);
  CHECK(story.standing("b") == Readability::kEligible);
}

TEST_CASE("a standby that is probed a moment before what it lacks has come is not behind") {
  Story story;
  story.pass(2s, 0x100);
  for (int step = 0; step < 100; ++step) {
    story.pass(500ms, 0x100);
    // What was written since the probe before is still under way.
    story.facts("b").replayed = {story.facts("a").wal_position.value - 0x80};
    story.decide();
    CHECK(story.standing("b") == Readability::kEligible);
  }
  CHECK(story.reader("b").lag == 500ms);
  CHECK(story.reader("b").lag_bytes == 0x80);
}

TEST_CASE("a standby that replays no more gets no new sessions after max_read_lag, and loses those it has in the end") {
  Story story;
  story.pass(5s, 0x100);
  story.pass(1s, 0x100, {"b"});
  CHECK(story.standing("b") == Readability::kEligible);
  story.pass(500ms, 0x100, {"b"});
  CHECK(story.standing("b") == Readability::kBehind);
  CHECK(story.reader("b").why_not == "b is 1.5s behind (768 bytes; max_read_lag is 1s)");
  CHECK(story.standing("c") == Readability::kEligible);
  story.pass(4500ms, 0x100, {"b"});
  CHECK(story.standing("b") == Readability::kBehind);
  story.pass(500ms, 0x100, {"b"});
  CHECK(story.standing("b") == Readability::kExcluded);
  CHECK(story.reader("b").why_not.starts_with("b is 6.5s behind"));
}

TEST_CASE("one that was not heard of yet is eligible as soon as it is measured, one that was lost is not") {
  Story story;
  const auto first_facts = story.node("b").facts;
  story.node("b").facts = nullptr;
  story.node("b").suspicion.liveness = Liveness::kUnknown;
  story.pass(1s, 0x100);
  REQUIRE(story.standing("b") == Readability::kExcluded);
  story.node("b").facts = first_facts;
  story.node("b").suspicion.liveness = Liveness::kAlive;
  story.pass(500ms, 0x100);
  CHECK(story.standing("b") == Readability::kEligible);
  story.node("b").suspicion.liveness = Liveness::kDead;
  story.pass(500ms, 0x100);
  REQUIRE(story.standing("b") == Readability::kExcluded);
  story.node("b").suspicion.liveness = Liveness::kAlive;
  story.pass(500ms, 0x100);
  CHECK(story.reader("b").why_not == "b has only just caught up");
}

TEST_CASE("one that has caught up is eligible again when it has been so for a while, and does not flap") {
  Story story;
  story.pass(5s, 0x100);
  story.pass(3s, 0x100, {"b"});
  REQUIRE(story.standing("b") == Readability::kBehind);
  story.facts("b").replayed = story.facts("a").wal_position;
  story.pass(500ms, 0x100);
  CHECK(story.standing("b") == Readability::kBehind);
  CHECK(story.reader("b").why_not == "b has only just caught up");
  story.pass(2s, 0x100);
  CHECK(story.standing("b") == Readability::kEligible);
  // Behind now and then, never for long: it is not eligible, and keeps its sessions.
  for (int step = 0; step < 20; ++step) {
    story.pass(2s, 0x100, {"b"});
    CHECK(story.standing("b") == Readability::kBehind);
    story.facts("b").replayed = story.facts("a").wal_position;
    story.pass(500ms, 0x100);
    CHECK(story.standing("b") == Readability::kBehind);
  }
}

TEST_CASE("a standby that does not stream is not fresh, although the primary is idle") {
  Story story;
  story.pass(5s, 0);
  story.facts("b").wal_receiver_streaming = false;
  story.pass(500ms, 0);
  CHECK(story.standing("b") == Readability::kBehind);
  CHECK(story.reader("b").why_not == "b does not stream");
  story.pass(5s, 0);
  CHECK(story.standing("b") == Readability::kExcluded);
}

TEST_CASE("a standby that is cut off is behind as soon as the primary goes on, whatever it says of its stream") {
  Story story;
  story.pass(5min, 0);
  story.pass(2s, 0x100, {"b"});
  CHECK(story.standing("b") == Readability::kBehind);
}

TEST_CASE("while the primary is not heard nothing is known to be fresh") {
  Story story;
  story.pass(5s, 0x100);
  story.node("a").suspicion.liveness = Liveness::kSilent;
  const Instant heard_last = story.now;
  for (int step = 0; step < 6; ++step) {
    story.now += 500ms;
    for (const char* standby : {"b", "c"}) story.node(standby).facts_at = story.now;
    story.decide();
    const bool fresh = story.now - heard_last <= 1s;
    CHECK(story.standing("b") == (fresh ? Readability::kEligible : Readability::kBehind));
  }
  // Nor where there is none.
  Story other;
  other.pass(5s, 0x100);
  other.primary = "";
  other.decide();
  CHECK(other.standing("b") == Readability::kBehind);
  CHECK(other.reader("b").why_not == "there is no primary that b could be measured against");
}

namespace {

// What a primary writes that lives and does not answer, and the standbys have at once.
void pass_mute(Story& story, Duration time, std::uint64_t written, const std::set<std::string>& standing_still = {}) {
  const Instant end = story.now + time;
  do {
    story.now += 500ms;
    for (const char* standby : {"b", "c"}) {
      story.node(standby).facts_at = story.now;
      story.facts(standby).wal_receiver_written.value += written;
      if (!standing_still.contains(standby)) story.facts(standby).replayed.value += written;
    }
    story.decide();
  } while (story.now < end);
}

Story story_of_a_mute_primary() {
  Story story;
  story.pass(5s, 0x100);
  for (const char* standby : {"b", "c"}) story.facts(standby).wal_receiver_written = story.facts(standby).replayed;
  return story;
}

}  // namespace

TEST_CASE("a primary that lives and does not answer costs no standby its sessions, and gets no new ones") {
  Story story = story_of_a_mute_primary();
  SUBCASE("it writes") {
    pass_mute(story, 60s, 0x100);
  }
  SUBCASE("it does not") {
    pass_mute(story, 60s, 0);
  }
  CHECK(story.standing("b") == Readability::kEligible);
  CHECK(story.standing("c") == Readability::kEligible);
  story.facts("a").wal_position = story.facts("b").replayed;
  story.pass(500ms, 0x100);
  CHECK(story.standing("b") == Readability::kEligible);
}

TEST_CASE("beside a mute primary a standby that does not replay what it receives is behind, and excluded in the end") {
  Story story = story_of_a_mute_primary();
  pass_mute(story, 3s, 0x100, {"b"});
  CHECK(story.standing("b") == Readability::kBehind);
  CHECK(story.standing("c") == Readability::kEligible);
  pass_mute(story, 6s, 0x100, {"b"});
  CHECK(story.standing("b") == Readability::kExcluded);
}

TEST_CASE("a standby that was behind when the primary fell mute gets no new sessions, and is not excluded for that") {
  Story story;
  story.pass(5s, 0x100);
  story.pass(3s, 0x100, {"b", "c"});
  REQUIRE(story.standing("b") == Readability::kBehind);
  for (const char* standby : {"b", "c"}) {
    story.facts(standby).replayed = story.facts("a").wal_position;
    story.facts(standby).wal_receiver_written = story.facts("a").wal_position;
  }
  pass_mute(story, 1500ms, 0);
  pass_mute(story, 60s, 0);
  CHECK(story.standing("b") == Readability::kBehind);
  CHECK(story.reader("b").why_not.starts_with("a has not told its position for "));
}

TEST_CASE("a standby whose stream has ended beside a mute primary is not fresh") {
  Story story = story_of_a_mute_primary();
  pass_mute(story, 3s, 0);
  story.facts("b").wal_receiver_streaming = false;
  pass_mute(story, 500ms, 0);
  CHECK(story.reader("b").why_not == "b does not stream");
  CHECK(story.standing("c") == Readability::kEligible);
}

TEST_CASE("who does not answer, is promoted, or is on another history may not be read from at all") {
  Story story;
  story.pass(2s, 0x100);
  SUBCASE("dead") {
    story.node("b").suspicion.liveness = Liveness::kDead;
    story.node("b").suspicion.evidence = "its postmaster died";
    story.decide();
    CHECK(story.reader("b").why_not == "b failed: its postmaster died");
  }
  SUBCASE("promoted") {
    story.facts("b").in_recovery = false;
    story.decide();
    CHECK(story.reader("b").why_not == "b is no standby");
  }
  SUBCASE("on a timeline of its own") {
    story.facts("b").timeline = 2;
    story.decide();
    CHECK(story.reader("b").why_not == "b is not on the history of a");
  }
  SUBCASE("of another cluster") {
    story.facts("b").system_identifier = "7001";
    story.decide();
  }
  CHECK(story.standing("b") == Readability::kExcluded);
  CHECK(story.standing("c") == Readability::kEligible);
}

TEST_CASE("one that is only late keeps its sessions") {
  Story story;
  story.pass(2s, 0x100);
  story.node("b").suspicion.liveness = Liveness::kLate;
  story.decide();
  CHECK(story.standing("b") == Readability::kBehind);
}

TEST_CASE("a node that is out for maintenance is drained") {
  Story story;
  story.pass(2s, 0x100);
  story.maintained = {"b"};
  story.pass(500ms, 0x100);
  CHECK(story.standing("b") == Readability::kBehind);
  CHECK(story.reader("b").why_not == "b is out for maintenance");
  story.pass(5s, 0x100);
  CHECK(story.standing("b") == Readability::kExcluded);
  story.maintained.clear();
  story.pass(2500ms, 0x100);
  CHECK(story.standing("b") == Readability::kEligible);
}

TEST_CASE("behind a new primary a standby counts as soon as it has followed") {
  Story story;
  story.pass(5s, 0x100);
  story.primary = "";
  story.epoch = 2;
  story.decide();
  story.primary = "b";
  story.node("a").suspicion.liveness = Liveness::kDead;
  story.facts("b").in_recovery = false;
  story.facts("b").timeline = 2;
  story.pass(1s, 0);
  CHECK(story.reader("b").is_primary);
  CHECK(story.standing("a") == Readability::kExcluded);
  CHECK(story.standing("c") == Readability::kBehind);
  CHECK(story.reader("c").why_not == "c has not followed to the primary's timeline yet");
}

TEST_CASE("patience grows with max_read_lag") {
  CHECK(ReadOnlyPolicy{.max_read_lag = 100ms}.patience() == 5s);
  CHECK(ReadOnlyPolicy{.max_read_lag = 10s}.patience() == 50s);
}
